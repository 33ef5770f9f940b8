import { EdisError } from "../core/errors.ts";
import { keyBytesMax, valueBytesMax } from "../core/limits.ts";

/** A key or a value: bytes, or text that stands for its UTF-8 bytes. */
export type Data = string | Uint8Array;

/** The bytes of a key. Throws `bad-argument` where it is empty, `too-large` above 64 KiB. */
export const keyBytes = (key: Data): Uint8Array => {
  const bytes = bytesOf(key, "a key");
  if (bytes.length === 0) throw new EdisError("bad-argument", "Cannot use an empty key");
  return atMost(bytes, keyBytesMax, "a key");
};

/** The bytes of a value. Throws `too-large` above 64 MiB. */
export const valueBytes = (value: Data): Uint8Array =>
  atMost(bytesOf(value, "a value"), valueBytesMax, "a value");

const atMost = (bytes: Uint8Array, bytesMax: number, what: string): Uint8Array => {
  if (bytes.length <= bytesMax) return bytes;
  throw new EdisError(
    "too-large",
    `Cannot send ${what} of ${bytes.length} bytes: at most ${bytesMax} are taken`,
  );
};

// Callers without a compiler pass numbers here; the text of one is hardly ever what they mean to store.
const bytesOf = (data: unknown, what: string): Uint8Array => {
  if (typeof data === "string") return Buffer.from(data);
  if (data instanceof Uint8Array) return data;
  throw new EdisError(
    "bad-argument",
    `Cannot send ${what} of type ${typeof data}: wanted is a string or bytes`,
  );
};
