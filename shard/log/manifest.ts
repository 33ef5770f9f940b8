import * as v from "valibot";
import { EdisError } from "../../core/errors.ts";
import { epoch, mapVersion, shardId, version, type ShardId } from "../../core/ids.ts";
import { branded, count, text } from "../../core/shape.ts";
import { damaged } from "./damage.ts";
import type { Disk } from "./disk.ts";
import { readDocument, writeDocument } from "./document.ts";

/** Whose data a volume holds. */
export type Identity = { readonly clusterId: string; readonly shard: ShardId };

export const identityName = "identity.json";
export const manifestName = "manifest.json";

const checksumField = v.pipe(count, v.maxValue(0xffff_ffff));
const format = v.literal(1);
const identitySchema = v.object({ format, clusterId: text, shard: branded(shardId) });

const snapshotSchema = v.object({
  sequence: count,
  /** Where its walk began: records behind it have to be replayed… */
  version: branded(version),
  /** …up to here at least. */
  through: branded(version),
  entries: count,
  /** Of the file. */
  bytes: count,
  checksum: checksumField,
  /** Whether it was read back after it was written. */
  verified: v.boolean(),
});

const manifestSchema = v.object({
  format,
  clusterId: text,
  shard: branded(shardId),
  /** Everything up to here was synced when this was written. */
  synced: branded(version),
  /** How many keys there were then: a hint for who reads all of them. Older ones do not say. */
  keys: v.optional(count, 0),
  /** The segments of a line; `version` and `checksum` are those of the first one's header; none where `last` is less than `first`. */
  segments: v.object({
    line: count,
    first: count,
    last: count,
    version: branded(version),
    checksum: checksumField,
  }),
  /** Newest first. */
  snapshots: v.pipe(v.array(snapshotSchema), v.maxLength(2)),
});

/** What counts in a folder. */
export type Manifest = Readonly<v.InferOutput<typeof manifestSchema>>;
export type SnapshotInfo = Readonly<v.InferOutput<typeof snapshotSchema>>;

/** Where a snapshot's walk began, as its file's header has it. */
export const placeSchema = v.object({
  version: branded(version),
  epoch: branded(epoch),
  bytes: count,
  history: v.array(v.object({ epoch: branded(epoch), startVersion: branded(version) })),
  /** Snapshots that were written before there were moves of slots do not say. */
  mapVersion: v.optional(branded(mapVersion), 1),
});
export type SnapshotPlace = v.InferOutput<typeof placeSchema>;

export const writeIdentity = (disk: Disk, folder: string, { clusterId, shard }: Identity): Promise<void> =>
  writeDocument(disk, { folder, name: identityName }, { format: 1, clusterId, shard });

export const writeManifest = (disk: Disk, folder: string, manifest: Manifest): Promise<void> =>
  writeDocument(disk, { folder, name: manifestName }, manifest);

/** Rejects with `damaged`, and with `wrong-volume` where it is another's. */
export const checkIdentity = async (disk: Disk, folder: string, wanted: Identity): Promise<void> => {
  const found = await readDocument(disk, { folder, name: identityName }, identitySchema);
  if (!isSame(found, wanted)) throw wrongVolume(folder, `it holds ${nameOf(found)}`, wanted);
};

/** Rejects with `damaged`. */
export const readManifest = async (disk: Disk, folder: string, wanted: Identity): Promise<Manifest> => {
  const manifest = await readDocument(disk, { folder, name: manifestName }, manifestSchema);
  if (isSame(manifest, wanted)) return manifest;
  const what = `it is of ${nameOf(manifest)}, but ${identityName} says ${nameOf(wanted)}`;
  throw damaged({ file: `${folder}/${manifestName}`, offset: 0, what });
};

/** The error for a folder that is not this shard's. */
export const wrongVolume = (folder: string, what: string, wanted: Identity): EdisError =>
  new EdisError(
    "wrong-volume",
    `Cannot keep ${nameOf(wanted)} in ${folder}: ${what}; mount this shard's own volume, or an empty one`,
  );

const isSame = (a: Identity, b: Identity): boolean => a.clusterId === b.clusterId && a.shard === b.shard;
const nameOf = ({ clusterId, shard }: Identity): string => `shard ${shard} of cluster ${clusterId}`;
