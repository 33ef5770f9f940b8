import { version, type Version } from "../../core/ids.ts";
import { createRecordCursor, skipRecords } from "../../core/recordCursor.ts";
import type { Batch, Log } from "../../shard/log/log.ts";

/** A log without a disk: everything is durable at once, and the oldest records go where they are more than `bytesMax`. */
export const createMemoryLog = (at: Version = version(0), bytesMax = Infinity): Log => {
  const cursor = createRecordCursor();
  let batches: Batch[] = [];
  let newest = at;
  const holds = new Set<Version>();
  const held = (): number => batches.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const first = (): Version => batches[0]?.first ?? version(newest + 1);
  const drop = (): void => {
    for (;;) {
      const oldest = batches[0];
      if (oldest === undefined || held() <= bytesMax) return;
      if ([...holds].some((hold) => hold <= oldest.last)) return;
      batches.shift();
    }
  };
  return {
    append: (batch) => {
      if (batch.first !== newest + 1) throw new Error(`batch ${batch.first} came after ${newest}`);
      batches.push(batch);
      newest = batch.last;
      drop();
    },
    // What was appended is held here for good.
    flush: () => version(0),
    sync: () => Promise.resolve(),
    newest: () => newest,
    durable: () => newest,
    first,
    read: (from) => {
      const batch = batches.find(({ last }) => last >= from);
      if (batch === undefined) return Promise.reject(new Error(`record ${from} is not there`));
      const start = skipRecords(cursor, batch.bytes, { at: 0, version: version(from - 1) });
      return Promise.resolve({ bytes: batch.bytes.subarray(start), first: from, last: batch.last });
    },
    hold: (from) => {
      holds.add(from);
      return {
        release: () => {
          holds.delete(from);
        },
      };
    },
    snapshot: () => Promise.resolve(),
    beginCopy: (place) => {
      batches = [];
      newest = place.version;
      return {
        add: () => Promise.resolve(),
        finish: () => Promise.resolve(),
        abort: () => Promise.resolve(),
      };
    },
    figures: () => ({
      ...{ segments: 1, bytes: held(), bytesBehindSnapshot: held(), isSnapshotting: false },
      ...{ snapshotVersion: null, snapshots: 0, failedSnapshots: 0, longestSnapshotTurnMs: 0 },
    }),
    close: () => Promise.resolve(),
  };
};
