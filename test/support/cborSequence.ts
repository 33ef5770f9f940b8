import { decode, endOf, type Budget } from "../../core/cbor.ts";
import { EdisError } from "../../core/errors.ts";

/** A value and how many bytes it took. */
export type Sized = { readonly value: unknown; readonly bytes: number };

/** Reads a CBOR sequence (RFC 8742) by cbor-x: up to `valuesMax` values one after the other. Throws as `decode` does. */
export const decodeSequence = (bytes: Uint8Array, budget: Budget, valuesMax: number): Sized[] => {
  const room = { left: budget.itemsMax, budget };
  const values: Sized[] = [];
  for (let at = 0; at < bytes.length;) {
    if (values.length === valuesMax)
      throw new EdisError("too-large", `Cannot read the message: it holds more than ${valuesMax} values`);
    const end = endOf(bytes, at, room);
    values.push({ value: decode(bytes.subarray(at, end), budget), bytes: end - at });
    at = end;
  }
  return values;
};
