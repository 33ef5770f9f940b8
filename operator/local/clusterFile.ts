import { Ajv, type ErrorObject } from "ajv";
import { isMap, isNode, isScalar, isSeq, LineCounter, parseAllDocuments, type Document } from "yaml";
import { brokenRules, type Fields } from "../rules.ts";
import { apiVersion, closed, specSchema } from "../schema.ts";

/** What a file of ShardClusters says: the objects, defaulted and validated, or all that is wrong with it. */
export type ClusterFile =
  | { readonly kind: "good"; readonly objects: readonly ClusterObject[] }
  | { readonly kind: "bad"; readonly problems: readonly FileProblem[] };
export type ClusterObject = Fields & {
  readonly metadata: { readonly namespace: string; readonly name: string };
};
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

type Path = readonly string[];
type Fault = { readonly path: Path; readonly message: string; readonly atName?: boolean };
type Read = { readonly object: ClusterObject | null; readonly faults: readonly Fault[] };

const text = { type: "string" } as const;
const texts = { type: "object", additionalProperties: text };
const validate = new Ajv({
  allErrors: true,
  strict: false,
  useDefaults: true,
  verbose: true,
  validateFormats: false,
}).compile<ClusterObject>(
  closed({
    type: "object",
    required: ["apiVersion", "kind", "metadata", "spec"],
    properties: {
      apiVersion: { enum: [apiVersion] },
      kind: { enum: ["ShardCluster"] },
      metadata: {
        type: "object",
        required: ["name"],
        properties: {
          name: text,
          namespace: {
            ...text,
            pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            maxLength: 63,
            default: "default",
          },
          labels: texts,
          annotations: texts,
        },
      },
      spec: specSchema,
      status: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
    },
  }),
);

/** Defaults are filled in on the way. */
const readObject = (object: unknown, old: (key: string) => Fields | undefined): Read => {
  if (!validate(object)) return { object: null, faults: (validate.errors ?? []).map(faultOf) };
  const { namespace, name } = object.metadata;
  const faults = brokenRules(object, old(`${namespace}/${name}`)).map(({ path, fieldPath, message }) => {
    const field = fieldPath === undefined ? [] : fieldPath.split(".").slice(1);
    return { path: path.length === 0 ? ["metadata", "name"] : [...path, ...field], message };
  });
  return { object: faults.length === 0 ? object : null, faults };
};

const faultOf = (error: ErrorObject): Fault => {
  const path = error.instancePath
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  const where = path.length === 0 ? "the document" : path.join(".");
  switch (error.keyword) {
    case "additionalProperties": {
      const name = textParam(error, "additionalProperty");
      const properties: unknown = error.parentSchema?.["properties"];
      const known = typeof properties === "object" && properties !== null ? Object.keys(properties) : [];
      return {
        path: [...path, name],
        atName: true,
        message: `${where} has no field ${name}; it has ${known.join(", ")}`,
      };
    }
    case "required":
      return { path, message: `${where} has no ${textParam(error, "missingProperty")}, which is needed` };
    case "enum": {
      const wanted: unknown = error.params["allowedValues"];
      const names = Array.isArray(wanted) ? wanted.map(String).join(" or ") : "";
      return { path, message: `${where} is ${shown(error.data)}; wanted is ${names}` };
    }
    default:
      return { path, message: `${where} is ${shown(error.data)}; it ${error.message ?? "is not allowed"}` };
  }
};

const textParam = ({ params }: ErrorObject, name: string): string => String(params[name]);
const shown = (data: unknown): string =>
  ((JSON.stringify(data) as string | undefined) ?? "nothing").slice(0, 60);

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
