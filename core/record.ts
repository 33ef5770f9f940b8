import { decodeSequence, encode, type Budget } from "./cbor.ts";
import { EdisError } from "./errors.ts";
import { epoch, version, type Epoch, type Version } from "./ids.ts";
import { badMessage, keyIn, valueIn } from "./keyValue.ts";
import { frameBytesMax, recordsPerFrameMax } from "./limits.ts";

/**
 * A record: one write, as the owner decided it, absolute and never relative, so that replaying it twice changes nothing.
 * Its bytes are made once and go to every reader: `[1, epoch, version, key, value, expiresAtMs | 0]` for a set,
 * `[2, epoch, version, key]` for a delete. An expired key leaves by a delete of its owner.
 */
export type Record = { readonly epoch: Epoch; readonly version: Version; readonly operation: Operation };
export type Operation =
  | {
      readonly kind: "set";
      readonly key: Uint8Array;
      readonly value: Uint8Array;
      readonly expiresAtMs: number | null;
    }
  | { readonly kind: "delete"; readonly key: Uint8Array };

/** One key of a full copy: `[0, key, value, expiresAtMs | 0]`. It carries no version: it is as new as the records around it. */
export type Entry = {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly expiresAtMs: number | null;
};

export type Streamed =
  | { readonly kind: "entry"; readonly entry: Entry }
  | { readonly kind: "record"; readonly record: Record; readonly bytes: number };

export const encodeRecord = ({ epoch, version, operation }: Record): Uint8Array => {
  switch (operation.kind) {
    case "set":
      return encode([1, epoch, version, operation.key, operation.value, operation.expiresAtMs ?? 0]);
    case "delete":
      return encode([2, epoch, version, operation.key]);
  }
};

export const encodeEntry = ({ key, value, expiresAtMs }: Entry): Uint8Array =>
  encode([0, key, value, expiresAtMs ?? 0]);

const budget: Budget = { bytesMax: frameBytesMax, depthMax: 2, itemsMax: recordsPerFrameMax * 7 };

/** Reads a frame of records and entries (a CBOR sequence). Keys and values are views of `frame`. Throws `bad-message`. */
export const decodeStreamed = (frame: Uint8Array): Streamed[] =>
  decodeSequence(frame, budget, recordsPerFrameMax).map(({ value, bytes }) => streamed(value, bytes));

const streamed = (fields: unknown, bytes: number): Streamed => {
  if (!Array.isArray(fields)) throw badMessage("a record is not an array");
  const [opcode, ...rest] = fields as unknown[];
  switch (opcode) {
    case 0:
      return {
        kind: "entry",
        entry: { key: keyIn(rest[0]), value: valueIn(rest[1]), expiresAtMs: instantIn(rest[2]) },
      };
    case 1:
      return {
        kind: "record",
        bytes,
        record: {
          ...placeIn(rest),
          operation: {
            kind: "set",
            key: keyIn(rest[2]),
            value: valueIn(rest[3]),
            expiresAtMs: instantIn(rest[4]),
          },
        },
      };
    case 2:
      return {
        kind: "record",
        bytes,
        record: { ...placeIn(rest), operation: { kind: "delete", key: keyIn(rest[2]) } },
      };
    default:
      throw badMessage("a record has an unknown operation");
  }
};

const placeIn = ([e, ver]: readonly unknown[]): { epoch: Epoch; version: Version } => {
  if (typeof e !== "number" || typeof ver !== "number") throw badMessage("a record has no epoch or version");
  try {
    return { epoch: epoch(e), version: version(ver) };
  } catch (error) {
    throw new EdisError("bad-message", "Cannot read a record: its epoch or version is out of range", {
      cause: error,
    });
  }
};

const instantIn = (field: unknown): number | null => {
  if (typeof field === "number" && Number.isSafeInteger(field) && field >= 0)
    return field === 0 ? null : field;
  throw badMessage("an expiry is not an instant in milliseconds");
};
