import { slot, slotCount } from "../../core/ids.ts";
import type { SlotSizes } from "../../core/message.ts";
import type { TopologyIndex } from "../../core/topology.ts";
import { hasMap } from "../holding.ts";
import type { Role } from "../role.ts";

/** How many bytes each slot of an owner has; null for any other, and while its slots are about to change. */
export const slotSizesOf = (role: Role, index: TopologyIndex | undefined): SlotSizes | null => {
  if (role.kind !== "owner" || index === undefined) return null;
  const { holding } = role.held;
  const { shard, store, slots } = holding;
  if (!hasMap(holding)) return null;
  const bytes = new DataView(new ArrayBuffer(slotCount * 4));
  let end = 0;
  for (let i = 0; i < slotCount; i++) {
    if (slots[i] === 0) continue;
    bytes.setFloat32(end, store.slotBytes(slot(i)), true);
    end += 4;
  }
  return {
    ...{ kind: "slotSizes", shard, epoch: role.writer.epoch, mapVersion: index.topology.mapVersion },
    sizes: new Uint8Array(bytes.buffer, 0, end),
  };
};
