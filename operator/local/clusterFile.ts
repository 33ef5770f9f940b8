import { isMap, isNode, isScalar, isSeq, LineCounter, parseAllDocuments, type Document } from "yaml";
import { readObject, type ClusterObject, type Fault } from "../clusterObject.ts";
import type { Fields } from "../rules.ts";

/** What a file of ShardClusters says: the objects, defaulted and validated, or all that is wrong with it. */
export type ClusterFile =
  | { readonly kind: "good"; readonly objects: readonly ClusterObject[] }
  | { readonly kind: "bad"; readonly problems: readonly FileProblem[] };
/** Line and column count from 1. */
export type FileProblem = { readonly line: number; readonly column: number; readonly message: string };

export const fileCharactersMax = 1024 * 1024;
const aliasesMax = 100;

/** Reads one or more YAML documents. `old` finds what an object replaces, for what must not be changed. */
export const readClusterFile = (
  file: string,
  old: (key: string) => Fields | undefined = () => undefined,
): ClusterFile => {
  if (file.length > fileCharactersMax) return oneProblem("the file is larger than 1 MiB");
  const lines = new LineCounter();
  const all = [...parseAllDocuments(file, { lineCounter: lines, prettyErrors: false })];
  const broken = all.flatMap(({ errors }) =>
    errors.map(({ message, pos }) => problemAt(lines, pos[0], `this is not YAML: ${message}`)),
  );
  if (broken.length > 0) return { kind: "bad", problems: broken };

  const objects = new Map<string, ClusterObject>();
  const problems: FileProblem[] = [];
  for (const document of all) {
    const content: unknown = document.toJS({ maxAliasCount: aliasesMax });
    if (content === null) continue;
    const read = readObject(content, old);
    for (const fault of read.faults) {
      problems.push(problemAt(lines, offsetOf(document, fault), fault.message));
    }
    if (read.object === null) continue;
    const { namespace, name } = read.object.metadata;
    const key = `${namespace}/${name}`;
    if (objects.has(key)) {
      problems.push(
        problemAt(
          lines,
          offsetOf(document, { path: ["metadata", "name"] }),
          `${key} is there twice; wanted is one name once`,
        ),
      );
    }
    objects.set(key, read.object);
  }
  if (problems.length > 0) return { kind: "bad", problems };
  if (objects.size === 0) return oneProblem("there is no ShardCluster in it; wanted is at least one");
  return { kind: "good", objects: [...objects.values()] };
};

/** Where in the text the value at `path` begins, or its name where it is not one plain value, or the nearest above it. */
const offsetOf = (document: Document.Parsed, { path, atName }: Pick<Fault, "path" | "atName">): number => {
  let node: unknown = document.contents;
  let offset = document.contents?.range[0] ?? document.range[0];
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === part);
      if (isNode(pair?.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair?.value;
    } else {
      node = isSeq(node) ? node.items[Number(part)] : undefined;
      if (isNode(node)) offset = node.range?.[0] ?? offset;
    }
  }
  if (atName === true || !isScalar(node) || node.value === null) return offset;
  return node.range?.[0] ?? offset;
};

const problemAt = (lines: LineCounter, offset: number, message: string): FileProblem => {
  const { line, col } = lines.linePos(offset);
  return { line, column: col, message };
};
const oneProblem = (message: string): ClusterFile => ({
  kind: "bad",
  problems: [{ line: 1, column: 1, message }],
});
