import test from "ava";
import fc from "fast-check";
import { epoch, mapVersion, slot, version } from "../../../core/ids.ts";
import {
  decodeStreamed,
  encodeDrop,
  encodeEntry,
  encodeEpoch,
  encodeMap,
  encodeRecord,
  type Entry,
  type Record,
} from "../../../core/record.ts";
import { createJournal } from "../../../shard/journal.ts";
import { createSegmentStore } from "../../../shard/store/segmentStore.ts";
import { stringOf } from "../../support/shardBytes.ts";
import {
  encodeEntries,
  recordBytesMax,
  writeEpoch,
  writeRecord,
} from "../../../shard/replication/recordEncoder.ts";

const key = fc.uint8Array({ minLength: 1, maxLength: 300 });
const value = fc.uint8Array({ maxLength: 70_000 });
const instant = fc.option(
  fc.oneof(fc.integer({ min: 1, max: 70_000 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
);
const number = fc.oneof(fc.nat(300), fc.nat(), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - 1 }));
const record: fc.Arbitrary<Record> = fc.record({
  epoch: number.map(epoch),
  version: number.map(version),
  operation: fc.oneof(
    fc.record({ kind: fc.constant("set" as const), key, value, expiresAtMs: instant }),
    fc.record({ kind: fc.constant("delete" as const), key }),
  ),
});
const entry: fc.Arbitrary<Entry> = fc.record({ key, value, expiresAtMs: instant });

test("records are encoded byte for byte as the core does", (t) => {
  fc.assert(
    fc.property(record, fc.nat(9), (one, at) => {
      const target = Buffer.alloc(at + recordBytesMax(one.operation));
      t.deepEqual(target.subarray(at, writeRecord(target, at, one)), Buffer.from(encodeRecord(one)));
    }),
    { numRuns: 50 },
  );
});

test("the beginning of an epoch is encoded byte for byte as the core does", (t) => {
  fc.assert(
    fc.property(number.map(epoch), number.map(version), (e, v) => {
      const target = Buffer.alloc(recordBytesMax(null));
      const end = writeEpoch(target, 0, { epoch: e, version: v });
      t.deepEqual(target.subarray(0, end), Buffer.from(encodeEpoch(e, v)));
    }),
    { numRuns: 50 },
  );
});

test("records of the map, of a dropped slot and of another's bytes are encoded byte for byte as the core does", (t) => {
  fc.assert(
    fc.property(record, number, fc.nat(16_383), (one, map, drop) => {
      const { epoch: e, version: v, operation } = one;
      const journal = createJournal();
      journal.map({ epoch: e, version: v }, mapVersion(map));
      journal.drop({ epoch: e, version: v }, slot(drop));
      const body = Buffer.from(
        operation.kind === "set"
          ? encodeEntry(operation)
          : encodeRecord({ epoch: epoch(0), version: version(0), operation }),
      );
      // Behind the item's header and what stands before its key.
      const from = operation.kind === "set" ? 2 : 4;
      journal.addBody({
        ...{ opcode: operation.kind === "set" ? 1 : 2, epoch: e, version: v },
        body: { bytes: body, from, to: body.length },
      });
      t.deepEqual(
        Buffer.concat(journal.take().map(({ bytes }) => bytes)),
        Buffer.concat([encodeMap(e, v, mapVersion(map)), encodeDrop(e, v, slot(drop)), encodeRecord(one)]),
      );
    }),
    { numRuns: 50 },
  );
});

test("entries go into frames of about the wanted size, byte for byte as the core encodes them", (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(entry, { maxLength: 30, selector: (one) => stringOf(one.key) }),
      fc.integer({ min: 1, max: 100_000 }),
      (entries, bytesMax) => {
        const store = createSegmentStore({ seed: { low: 1, high: 2 } });
        for (const { key, value, expiresAtMs } of entries) store.set(key, value, expiresAtMs);
        const sweep = store.sweep();
        const frames: Uint8Array[] = [];
        let count = 0;
        for (;;) {
          const { frame, entries: held, done } = encodeEntries(sweep, bytesMax);
          frames.push(frame);
          count += held;
          if (done) break;
          t.true(frame.length >= bytesMax);
        }
        t.is(count, entries.length);
        t.deepEqual(Buffer.concat(frames), Buffer.concat(entries.map(encodeEntry)));
      },
    ),
    { numRuns: 50 },
  );
});

test("what is encoded is decoded to the same", (t) => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), (records) => {
      const journal = createJournal();
      let bytes = 0;
      for (const { epoch: e, version: v, operation } of records) bytes += journal.add(e, v, operation);
      const batches = journal.take();
      t.is(
        batches.reduce((sum, batch) => sum + batch.bytes.length, 0),
        bytes,
      );
      t.true(journal.isEmpty());
      const items = batches.flatMap((batch) => decodeStreamed(batch.bytes));
      t.deepEqual(
        items.map((item) => item.kind === "record" && plain(item.record)),
        records.map(plain),
      );
    }),
    { numRuns: 50 },
  );
});

const plain = ({ epoch: e, version: v, operation }: Record): unknown => ({
  ...{ epoch: e, version: v, kind: operation.kind, key: Buffer.from(operation.key) },
  ...(operation.kind === "set"
    ? { value: Buffer.from(operation.value), expiresAtMs: operation.expiresAtMs }
    : {}),
});
