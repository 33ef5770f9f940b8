import { createSegmentStore } from "../../shard/store/segmentStore.ts";
import type { Store } from "../../shard/store/store.ts";

/** A store of segments of 1 KiB, so that a test of some dozen keys meets growth and compaction. */
export const createSmallStore = (): Store =>
  createSegmentStore({ seed: { low: 1, high: 2 }, unitBits: 7, chunkBits: 3, slackBytes: 0 });
