import test from "ava";
import fc from "fast-check";
import {
  asked,
  createLease,
  forget,
  grantedByInfo,
  grantedByMember,
  leaseUntilMs,
} from "../../shard/lease.ts";

const leaseMs = 2_000;

test("nobody in sync: nobody else can be made owner, and no lease is needed", (t) => {
  t.is(leaseUntilMs(createLease(), []), Infinity);
});

test("a lease counts from when it was asked for, and less than whoever granted it counts", (t) => {
  const lease = createLease();
  asked(lease.reports, 1, 100);
  asked(lease.reports, 2, 300);
  grantedByInfo(lease, { seq: 1, leaseMs });
  t.is(leaseUntilMs(lease, ["a"]), 1_700);
  grantedByInfo(lease, { seq: 2, leaseMs });
  t.is(leaseUntilMs(lease, ["a"]), 1_900);
  grantedByInfo(lease, { seq: 1, leaseMs });
  t.is(leaseUntilMs(lease, ["a"]), 1_900, "an older answer takes nothing away");
});

test("a grant of what was not asked in this epoch is none", (t) => {
  const lease = createLease();
  grantedByInfo(lease, { seq: 7, leaseMs });
  grantedByMember(lease, "a", { seq: 7, leaseMs });
  t.is(leaseUntilMs(lease, ["a"]), -Infinity);
});

test("every member has to grant, or info does; one that was just let in counts as well", (t) => {
  const lease = createLease();
  asked(lease.marks, 1, 0);
  asked(lease.marks, 2, 500);
  grantedByMember(lease, "a", { seq: 2, leaseMs });
  t.is(leaseUntilMs(lease, ["a"]), 2_100);
  t.is(leaseUntilMs(lease, ["a", "b"]), -Infinity);
  grantedByMember(lease, "b", { seq: 1, leaseMs });
  t.is(leaseUntilMs(lease, ["a", "b"]), 1_600);
  asked(lease.reports, 1, 400);
  grantedByInfo(lease, { seq: 1, leaseMs });
  t.is(leaseUntilMs(lease, ["a", "b"]), 2_000);
  forget(lease, "b");
  t.is(leaseUntilMs(lease, ["b"]), 2_000, "another process of the pod has granted nothing");
});

test("who keeps his promise for less long than the owner believes is counted for that", (t) => {
  const lease = createLease();
  asked(lease.marks, 1, 0);
  grantedByMember(lease, "a", { seq: 1, leaseMs: 1_000 });
  t.is(leaseUntilMs(lease, ["a"]), 800);
});

test("the lease never outlives what was promised: by info, and by each of those in sync", (t) => {
  const pods = ["a", "b", "c"] as const;
  const step = fc.record({
    who: fc.constantFrom("info", ...pods),
    passes: fc.integer({ min: 0, max: 400 }),
    arrives: fc.integer({ min: 0, max: 300 }),
    answers: fc.integer({ min: 0, max: 300 }),
    isLost: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 40 }),
      fc.subarray([...pods], { minLength: 1 }),
      (steps, inSync) => {
        const lease = createLease();
        const promised = new Map<string, number>();
        let nowMs = 0;
        steps.forEach(({ who, passes, arrives, answers, isLost }, seq) => {
          asked(who === "info" ? lease.reports : lease.marks, seq, nowMs);
          // Whoever is asked promises from when he hears of it; the answer may be lost, the promise stands.
          promised.set(who, Math.max(promised.get(who) ?? 0, nowMs + arrives + leaseMs));
          if (!isLost && who === "info") grantedByInfo(lease, { seq, leaseMs });
          else if (!isLost) grantedByMember(lease, who, { seq, leaseMs });
          nowMs += passes + answers;
          const until = leaseUntilMs(lease, inSync);
          const info = promised.get("info") ?? -Infinity;
          const members = Math.min(...inSync.map((pod) => promised.get(pod) ?? -Infinity));
          t.true(until <= Math.max(info, members));
        });
      },
    ),
  );
  t.pass();
});
