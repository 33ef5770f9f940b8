/** One rule of docs/ownership.md left out: what of the source is replaced, and within how many runs that is noticed. */
export type Mutant = {
  readonly name: string;
  /** The rule, by its number. */
  readonly rule: string;
  readonly patches: readonly Patch[];
  readonly runs: number;
  /** Sought in these scenarios (aims.ts). */
  readonly aim?: string;
  /** Where no run can show it (docs/simulator.md): these tests have to fail, and no run is made. */
  readonly tests?: string;
};
type Patch = { readonly file: string; readonly from: string; readonly to: string };

/** Of one patch; noticed within 400 runs where nothing else is said. */
const one = (
  name: string,
  rule: string,
  { runs = 400, aim = "", tests = "", ...patch }: Patch & Partial<Pick<Mutant, "runs" | "aim" | "tests">>,
): Mutant => ({
  ...{ name, rule, patches: [patch], runs, aim, tests },
});

export const mutants: readonly Mutant[] = [
  one("acknowledges-before-in-sync", "1: acknowledged means durable where the mode says", {
    aim: "deafReaders",
    runs: 40,
    file: "shard/tenure.ts",
    from: `(settings().acks === "inSync" ? safeOf(state) : held.log.durable())`,
    to: `held.log.durable()`,
  }),
  one("fewer-than-min-in-sync", "1: minInSync is a minimum", {
    aim: "short",
    runs: 40,
    file: "shard/tenure.ts",
    from: `return acks === "inSync" && inSync.members.size < minInSync;`,
    to: `return acks === "inSync" && inSync.members.size < minInSync && false;`,
  }),
  {
    ...{
      name: "no-lease",
      aim: "islandForGood",
      rule: "2: checked at admission and at the answer",
      runs: 40,
    },
    patches: [
      {
        file: "shard/lease.ts",
        from: `return Math.max(info, least);`,
        to: `return least === -1 ? info : Infinity;`,
      },
    ],
  },
  {
    ...{ name: "lease-from-receipt", aim: "lateGrants", rule: "2: the lease counts from sending", runs: 40 },
    patches: [
      {
        file: "shard/tenure.ts",
        from: `      grantedByInfo(lease, grant);`,
        to: `      if (lease.reports.has(grant.seq)) lease.reports.set(grant.seq, clock.nowMs());\n      grantedByInfo(lease, grant);`,
      },
      {
        file: "shard/tenure.ts",
        from: `    const own = options.settings().leaseMs;`,
        to: `    const own = options.settings().leaseMs;\n    if (lease.marks.has(grant)) lease.marks.set(grant, options.clock.nowMs());`,
      },
    ],
  },
  one("lease-over-former-set", "2: over the present S(owner)", {
    aim: "unrecorded",
    runs: 40,
    file: "shard/lease.ts",
    from: `members.get(pod) ?? -Infinity`,
    to: `members.get(pod) ?? Infinity`,
  }),
  one("shrinks-before-recorded", "4: to shrink, first the record", {
    aim: "unrecordedShrink",
    runs: 40,
    file: "shard/inSync.ts",
    from: `      members.set(pod, { kind: "leaving", leftOutAt: seq, held: member.held });`,
    to: `      members.delete(pod);`,
  }),
  one("records-before-it-holds-what-was-answered", "5: recorded is who holds all that was answered", {
    aim: "slowHeir",
    runs: 40,
    file: "shard/inSync.ts",
    from: `{ kind: "joining", owes: durable, held: acked }`,
    to: `{ kind: "joining", owes: acked, held: acked }`,
  }),
  one("answers-as-before-one-joined", "1: a newcomer is waited for at once", {
    file: "shard/writer.ts",
    from: `      writer.durable = event.through;`,
    to: `      if (event.through > writer.durable) writer.durable = event.through;`,
    tests: "test/shard/writer.test.ts",
  }),
  one("drops-what-others-count-on", "10: whoever is on record keeps its copy", {
    file: "shard/kept.ts",
    from: `inSync.includes(pod)`,
    to: `inSync.length < 0`,
    tests: "test/shard/kept.test.ts",
  }),
  one("counts-before-first-record", "5: a follower enters S when it holds the epoch's first record", {
    file: "shard/inSync.ts",
    from: `  acked >= begins &&\n`,
    to: ``,
    tests: "test/shard/inSync.test.ts",
  }),
  one("owner-does-not-step-down", "8: an owner that sees a higher epoch steps down", {
    aim: "islandForGood",
    runs: 40,
    file: "shard/roles.ts",
    from: `floorOf(named).epoch > role.writer.epoch) return false;`,
    to: `named.id < 0) return false;`,
  }),
  one("promises-before-it-is-kept", "8: a promise is kept on the volume before it is said", {
    file: "shard/promise.ts",
    from: `      wanted.set(shard, epoch);\n      keep();`,
    to: `      wanted.set(shard, epoch);\n      kept.set(shard, epoch);\n      changed();`,
    tests: "test/shard/promise.test.ts",
  }),
  one("no-boot-silence", "9: boot silence", {
    aim: "bootSilence",
    runs: 40,
    file: "shard/promise.ts",
    from: `Math.max(grantedUntilMs.get(shard) ?? 0, startedMs + leaseMs)`,
    to: `Math.max(grantedUntilMs.get(shard) ?? 0, startedMs)`,
  }),
  {
    ...{ name: "restart-in-the-same-epoch", aim: "sameEpoch", runs: 40 },
    rule: "11: each start of an owner's process needs a new epoch",
    patches: [
      {
        file: "shard/duty.ts",
        from: `a.pod === b.pod && a.incarnation === b.incarnation;`,
        to: `a.pod === b.pod;`,
      },
      // Nobody would ask it otherwise.
      {
        file: "core/topology.ts",
        from: `member !== undefined && member.incarnation === owner?.incarnation ? member : undefined`,
        to: `member`,
      },
    ],
  },
  one("rejoins-by-version-alone", "12: rejoin by the history of epochs", {
    aim: "island",
    runs: 40,
    file: "shard/replication/history.ts",
    from: `  if (start === undefined) return false;\n`,
    to: `  if (start === undefined || end >= place.version) return place.version <= end;\n`,
  }),
  one("unfreezes-by-itself", "13: the owner never unfreezes by itself", {
    aim: "handover",
    runs: 40,
    file: "shard/tenure.ts",
    from: `    isFrozen: () => state.freeze !== null,`,
    to: `    isFrozen: () => state.freeze !== null && frozenAt(state) === null,`,
  }),
  one("freezes-nothing", "13: an owner that is handed over takes no more requests", {
    aim: "handover",
    runs: 40,
    file: "shard/tenure.ts",
    from: `    isFrozen: () => state.freeze !== null,`,
    to: `    isFrozen: () => false,`,
  }),
  one("clients-of-any-epoch", "16: client to owner compares epochs", {
    file: "shard/route.ts",
    from: `asked.epoch !== standing.epoch && needsOwner(request)`,
    to: `asked.epoch === -1 && needsOwner(request)`,
    tests: "test/shard/route.test.ts",
  }),
  one("session-reads-anywhere", "15: session reads at or beyond the client's place", {
    aim: "laggingReaders",
    runs: 40,
    file: "shard/reads.ts",
    from: `if (!isAfter(level, reader.holding)) return`,
    to: `if (level.version >= 0) return`,
  }),
  {
    ...{
      name: "records-before-the-owner-counts",
      aim: "slowReaders",
      rule: "4: S(API) is part of S(owner), when it grows",
      runs: 40,
    },
    patches: [
      {
        file: "operator/plan/sync.ts",
        from: `{ report: { serving } }: Session`,
        to: `{ report: { serving, readers } }: Session`,
      },
      {
        file: "operator/plan/sync.ts",
        from: `inSync: [...new Set(members)].sort()`,
        to: `inSync: [...new Set([...members, ...readers.map(({ pod }) => pod)])].sort()`,
      },
    ],
  },
  one("keeps-the-set-over-a-new-epoch", "5: a new epoch starts with nobody in sync", {
    aim: "ownersInTurn",
    runs: 40,
    file: "operator/plan/ownerPlan.ts",
    from: `...{ inSync: [], syncSeq: 0, phase: { kind: "stable" } },`,
    to: `...{ inSync: shard.inSync.filter((pod) => pod !== owner.pod), syncSeq: 0, phase: { kind: "stable" } },`,
  }),
  {
    ...{ name: "grants-without-the-lease", aim: "leader", runs: 40 },
    rule: "6: info grants only while its operator holds the Lease",
    patches: [
      { file: "operator/info/grants.ts", from: `if (!mayGrant()) return null;`, to: `` },
      // One that stops by itself soon after grants nothing that counts.
      {
        file: "operator/kubernetes/lease.ts",
        from: `if (clock.nowMs() - renewedMs >= times.renewMs) lost.abort();`,
        to: ``,
      },
    ],
  },
  one("forgets-what-its-predecessor-granted", "6: a new leader waits for the grants of its predecessor", {
    aim: "forgotten",
    runs: 40,
    file: "operator/plan/failover.ts",
    from: `const infosMs = rules.leaseMs - Math.min(memory.grantMs, leadingMs);`,
    to: `const infosMs = rules.leaseMs - memory.grantMs - 0 * leadingMs;`,
  }),
  one("grants-what-a-write-is-about-to-end", "7: nothing is granted from before the write on", {
    file: "operator/info/grants.ts",
    from: `|| held.has(serving.shard)) return null;`,
    to: `) return null;`,
    tests: "test/operator/info/grants.test.ts",
  }),
  {
    ...{ name: "grants-to-whoever-says-so", aim: "formerOwnerAsks", runs: 40 },
    rule: "7: granted for owner, epoch and phase as read",
    patches: [
      {
        file: "operator/info/grants.ts",
        from: `if (shard?.epoch !== serving.epoch || shard.phase.kind === "fencing") return null;`,
        to: `if (shard === undefined) return null;`,
      },
      {
        file: "operator/info/grants.ts",
        from: `if (shard.owner?.pod !== pod || shard.owner.incarnation !== incarnation) return null;`,
        to: `if (pod + incarnation === "") return null;`,
      },
      {
        file: "operator/info/grants.ts",
        from: `shard: shard.id, epoch: shard.epoch });`,
        to: `shard: shard.id, epoch: serving.epoch });`,
      },
    ],
  },
  one("promotes-without-waiting", "10c: an owner's lease is waited for", {
    aim: "longLease",
    runs: 40,
    file: "operator/plan/failover.ts",
    from: `const leftMs = steppedDown ? 0 : leaseLeftMs(shard, promotion, promised);`,
    to: `const leftMs = 0 * leaseLeftMs(shard, promotion, promised);`,
  }),
  one("promotes-whoever-holds-something", "10d: only members of S are promoted", {
    aim: "laggardAlone",
    runs: 40,
    file: "operator/plan/ownerPlan.ts",
    from: `  inSync.flatMap((pod) => (pod === owner?.pod ? [] : (sessions.get(pod) ?? [])));`,
    to: `  [...sessions.values()].filter(({ pod, report }) => inSync.length > 0 && pod !== owner?.pod && report.promised !== null);`,
  }),
  one("hands-over-before-all-is-there", "13: committed once all is durable at both", {
    aim: "deafHeirs",
    runs: 40,
    file: "shard/tenure.ts",
    from: `if (to?.incarnation !== freeze.to.incarnation || to.acked < version) return null;`,
    to: `if (to?.incarnation !== freeze.to.incarnation) return null;`,
  }),
];
