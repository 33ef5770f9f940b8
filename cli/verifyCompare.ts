import { digestBytesPerSlot } from "../core/limits.ts";
import type { Digested } from "../core/tools.ts";

/** Compares what an owner and its copies say of the same slots. Pure. */

/** What one slot holds, as one process says. */
export type SlotContent = { readonly keys: number; readonly bytes: number; readonly digest: string };

/** Of the slot that was asked for as the `index`th. */
export const contentAt = ({ slots }: Digested, index: number): SlotContent => {
  const said = Buffer.from(slots.buffer, slots.byteOffset, slots.length);
  const at = index * digestBytesPerSlot;
  return {
    keys: said.readUInt32LE(at),
    bytes: said.readDoubleLE(at + 4),
    digest: said.toString("hex", at + 12, at + digestBytesPerSlot),
  };
};

/** The owner's word before and after that of its copies; one answer twice where nothing was written in between. */
export type Round = { readonly first: Digested; readonly second: Digested };

/**
 * What a copy says is compared with what the owner held before and after it: where that is the same, nothing was written to the
 * slot while the copy was looked at (or it was undone), so the copy is to hold the same. The copy was asked for the place of the
 * first answer or a later one.
 */
export const verdictOf = (
  { first, second }: Round,
  copy: Digested,
  index: number,
): "same" | "different" | "written" => {
  const at = index * digestBytesPerSlot;
  const of = ({ slots }: Digested): Uint8Array => slots.subarray(at, at + digestBytesPerSlot);
  if (Buffer.compare(of(first), of(second)) !== 0) return "written";
  return Buffer.compare(of(first), of(copy)) === 0 ? "same" : "different";
};

/** Nothing was written anywhere while these were answered: the owner need not be asked again. */
export const isStill = (answers: readonly Digested[]): boolean => {
  const [first] = answers;
  return answers.every(
    ({ from, to }) =>
      first !== undefined &&
      [from, to].every(({ epoch, version }) => epoch === first.from.epoch && version === first.from.version),
  );
};
