import { slotCount } from "../../core/ids.ts";
import { slotOf } from "../../core/slot.ts";

/** Keys of one slot: what happens to the slot's shard is seen by what happens to them. */
export type Lane = { readonly slot: number; readonly nameOf: (n: number) => string };

/** `count` lanes, on slots spread evenly over all. */
export const lanesOf = (count: number): readonly Lane[] => {
  const wanted = new Map(
    Array.from({ length: count }, (_, i) => [Math.floor(((i + 0.5) * slotCount) / count), i]),
  );
  const tags: string[] = [];
  for (let n = 0; wanted.size > 0; n++) {
    const slot = slotOf(Buffer.from(String(n)));
    const lane = wanted.get(slot);
    if (lane === undefined) continue;
    tags[lane] = String(n);
    wanted.delete(slot);
  }
  return tags.map((tag) => ({
    slot: slotOf(Buffer.from(tag)),
    nameOf: (n) => `load:{${tag}}:${n}`,
  }));
};
