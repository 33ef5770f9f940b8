import { EdisError } from "./errors.ts";
import { keyBytesMax, valueBytesMax } from "./limits.ts";

/** A key as it came from outside. Throws `bad-message`. */
export const keyIn = (field: unknown): Uint8Array => {
  if (field instanceof Uint8Array && field.length > 0 && field.length <= keyBytesMax) return field;
  throw badMessage(`a key is not 1 to ${keyBytesMax} bytes`);
};

/** A value as it came from outside. Throws `bad-message`. */
export const valueIn = (field: unknown): Uint8Array => {
  if (field instanceof Uint8Array && field.length <= valueBytesMax) return field;
  throw badMessage(`a value is not 0 to ${valueBytesMax} bytes`);
};

/** What a frame is refused with. */
export const badMessage = (what: string): EdisError =>
  new EdisError("bad-message", `Cannot read the message: ${what}`);
