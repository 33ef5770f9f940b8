import { crc32 } from "node:zlib";
import * as v from "valibot";
import { damaged } from "./damage.ts";
import type { Disk } from "./disk.ts";

/**
 * Small files that say what is there: a line of JSON and, in quotes, its checksum. They are written beside, synced, renamed,
 * and the folder is synced: a file is the old one or the new one.
 */
export const writeDocument = async (disk: Disk, path: DocumentPath, content: unknown): Promise<void> => {
  const text = Buffer.from(JSON.stringify(content));
  const bytes = [text, Buffer.from(`\n"${checksumText(text)}"\n`)];
  const beside = `${path.folder}/${path.name}${besideSuffix}`;
  const file = await disk.open(beside, "create");
  try {
    await file.write(bytes, 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(beside, `${path.folder}/${path.name}`);
  await disk.syncFolder(path.folder);
};

export type DocumentPath = { readonly folder: string; readonly name: string };

export const besideSuffix = ".new";

/** Rejects with `damaged`. */
export const readDocument = async <Schema extends v.GenericSchema>(
  disk: Disk,
  path: DocumentPath,
  schema: Schema,
): Promise<v.InferOutput<Schema>> => {
  const name = `${path.folder}/${path.name}`;
  const file = await disk.open(name, "read");
  try {
    const size = await file.size();
    if (size > documentBytesMax)
      throw damaged({ file: name, offset: 0, what: `it has ${size} bytes, which is too many` });
    const bytes = Buffer.alloc(size);
    await file.read(bytes, 0);
    const text = bytes.subarray(0, Math.max(0, bytes.indexOf("\n")));
    if (!bytes.subarray(text.length).equals(Buffer.from(`\n"${checksumText(text)}"\n`)))
      throw damaged({ file: name, offset: 0, what: "its checksum is not that of its text" });
    return parse(name, text.toString(), schema);
  } finally {
    await file.close();
  }
};

/** 1,000 epochs in each of some snapshots. */
const documentBytesMax = 1024 * 1024;

const checksumText = (text: Uint8Array): string => crc32(text).toString(16).padStart(8, "0");

const parse = <Schema extends v.GenericSchema>(
  name: string,
  text: string,
  schema: Schema,
): v.InferOutput<Schema> => {
  try {
    return v.parse(schema, JSON.parse(text));
  } catch (error) {
    throw damaged({ file: name, offset: 0, what: "its text has another shape" }, { cause: error });
  }
};
