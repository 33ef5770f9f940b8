import test from "ava";
import fc from "fast-check";
import { version } from "../../../core/ids.ts";
import { createBacklog } from "../../../shard/replication/backlog.ts";

test("a backlog holds the newest records within its bound, and hands them out in order", (t) => {
  fc.assert(
    fc.property(
      fc.nat(1_000),
      fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 3_000 }),
      (newest, sizes) => {
        const backlog = createBacklog(version(newest), 7_000, 2_000);
        let end = 7_000;
        const ends = new Map([[newest, end]]);
        sizes.forEach((size, i) => {
          backlog.add(new Uint8Array(size).fill(i));
          end += size;
          ends.set(newest + i + 1, end);
        });
        t.is(backlog.newest(), version(newest + sizes.length));
        const first = backlog.first();
        const held = end - (ends.get(first - 1) ?? NaN);
        t.true(held <= 2_000);
        // One more would not have fitted.
        if (first > newest + 1) t.true(held + (sizes[first - newest - 2] ?? 0) > 2_000);
        for (let at = first - 1; at <= newest + sizes.length; at++)
          t.is(backlog.bytesAt(version(at)), ends.get(at) ?? NaN);
        if (first > newest + sizes.length) return;
        const { frame, next } = backlog.frame(first);
        t.is(next, version(newest + sizes.length + 1));
        t.deepEqual(
          Buffer.from(frame),
          Buffer.concat(sizes.map((size, i) => new Uint8Array(size).fill(i)).slice(first - newest - 1)),
        );
      },
    ),
    { numRuns: 50 },
  );
});

test("a frame ends before it grows too large, but holds at least one record", (t) => {
  const backlog = createBacklog(version(0), 0);
  backlog.add(new Uint8Array(300_000));
  backlog.add(new Uint8Array(200_000));
  backlog.add(new Uint8Array(100_000));
  t.is(backlog.frame(version(1)).next, version(2));
  t.is(backlog.frame(version(2)).next, version(3));
  t.is(backlog.frame(version(3)).next, version(4));
});
