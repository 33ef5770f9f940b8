import { slotOf } from "../../core/slot.ts";
import type { Ownership } from "../../operator/plan/model.ts";
import { writerPod, type ShardCluster } from "../../operator/shardCluster.ts";
import { clusterOf } from "../support/planWorld.ts";
import { entriesOf } from "../support/shardLog.ts";
import { checkHistory } from "./checker/check.ts";
import { inWords, type History, type Violation } from "./checker/history.ts";
import { anyFault, planFaults, startFaults, type Fault, type FaultKind } from "./faults.ts";
import { endOperatorAt, type EndsOperator } from "./steps.ts";
import { createClients, type Clients } from "./world/clients.ts";
import { ownershipOf } from "./world/ownership.ts";
import { seeded, type Seeded } from "./world/seeded.ts";
import { createWorld, startLater, startOperatorOf, type World } from "./world/world.ts";

/** What one run is about: all of it follows from its seed. */
export type Scenario = {
  readonly seed: number;
  readonly cluster: ShardCluster;
  readonly operators: number;
  readonly clients: number;
  readonly thinkMs: number;
  /** How long things go wrong. Virtual milliseconds. */
  readonly chaosMs: number;
  readonly faults: readonly Fault[];
  /** The first client does nothing but linearizable reads, so that nothing else holds it up. */
  readonly watches?: boolean;
  /** Nothing that was acknowledged may be lost, whatever the mode and the faults. */
  readonly keepsAll?: boolean;
  /** From and to, since the faults began: writes that are called then are not acknowledged. Virtual milliseconds. */
  readonly refusesWritesMs?: readonly [from: number, to: number];
  /** The operator ends there. */
  readonly endsOperator?: EndsOperator;
};

export type Run = {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly events: number;
  /** There was another number of shards, for a while. */
  readonly isResized: boolean;
  /** What `endsOperator` asks for came about. */
  readonly operatorEnded: boolean;
  /** Virtual milliseconds, in all and from the end of the faults until all was well. */
  readonly ms: number;
  readonly healedMs: number;
  readonly ok: number;
  readonly unknown: number;
  readonly undecided: number;
  readonly faults: readonly FaultKind[];
  readonly hash: number;
  readonly history: History;
};

/** Everything has to be well again within this, of virtual time. */
const convergeMsMax = 60_000;
const bootMsMax = 30_000;
const eventsLeast = 1_000;
const okLeast = 10;

/**
 * One run, within this call: a cluster comes up, clients work while things go wrong, everything is mended, and then all has to
 * be well within bounded time. To be called from outside of any promise (settlePromises).
 */
export const simulate = (scenario: Scenario, trace: ((line: string) => void) | null = null): Run => {
  const { seed, cluster, operators } = scenario;
  const world = createWorld({ seed, cluster, operators, trace });
  const violations: Violation[] = [];
  const broken = (kind: string, what: string): void => {
    violations.push({ kind, key: "", what });
  };
  const { timeline } = world;
  const until = (ms: number, holds: () => boolean): boolean => untilHolds(world, ms, holds);

  const { watches = false, thinkMs } = scenario;
  const clients = createClients(world, scenario.clients, { thinkMs, watches });
  if (!until(bootMsMax, () => whyNotWell(world) === null && clients.connected() === scenario.clients))
    broken("did not start", whyNotWell(world) ?? "clients are not connected");
  world.trace("world", "is up");
  const beganMs = timeline.nowMs();
  const operatorEnded =
    scenario.endsOperator === undefined ? null : endOperatorAt(world, scenario.endsOperator);
  const faults = startFaults(world, scenario.faults, world.random.fork("faults"));
  until(scenario.chaosMs, () => false);

  world.trace("world", "heals");
  faults.heal();
  for (const operator of world.operators.values())
    if (operator.running === null) startOperatorOf(world, operator);
  for (const pod of world.pods.values()) if (pod.running === null) startLater(world, pod, 1);
  const healMs = timeline.nowMs();
  until(convergeMsMax, () => whyNotWell(world) === null);
  const healedMs = timeline.nowMs() - healMs;
  // A run of fewer events or operations shows little.
  until(convergeMsMax, () => timeline.events() >= eventsLeast && okIn(clients.history) >= okLeast);
  clients.end();
  finish(world, clients, broken);

  const { keepsAll = false } = scenario;
  const { acks } = cluster.spec.durability;
  const result = checkHistory(clients.history, {
    keepsAcknowledged:
      keepsAll || acks === "inSync" || scenario.faults.every(({ kind }) => keepsTail.has(kind)),
    ...{
      okMin: okLeast,
      faults: faults.done.length === 0 ? ["none was possible"] : faults.done,
      slotsMoved: world.isResized,
    },
  });
  const early = acknowledgedIn(clients.history, scenario, beganMs);
  if (early !== undefined) broken("acknowledged with too few in sync", inWords(early));
  violations.push(...result.violations, ...world.defects.map((what) => ({ kind: "defect", key: "", what })));
  return {
    ...{
      seed,
      violations,
      isResized: world.isResized,
      operatorEnded: operatorEnded?.() ?? false,
      events: timeline.events(),
      ms: timeline.nowMs(),
      healedMs,
      hash: timeline.hash(),
    },
    ...{
      ok: result.ok,
      unknown: result.unknown,
      undecided: result.undecided,
      faults: faults.done,
      history: clients.history,
    },
  };
};

const okIn = (history: History): number => history.filter(({ outcome }) => outcome === "ok").length;

/** A write that was acknowledged when none could be. */
const acknowledgedIn = (
  history: History,
  { refusesWritesMs: [fromMs, toMs] = [0, 0] }: Scenario,
  beganMs: number,
): History[number] | undefined =>
  history.find(
    ({ op, outcome, invokeNs, completeNs }) =>
      op !== "get" &&
      outcome === "ok" &&
      invokeNs / 1e6 >= beganMs + fromMs &&
      completeNs / 1e6 <= beganMs + toMs,
  );

/** After these nobody but the owner's own process, with all it had, goes on as owner, whatever the mode. */
const keepsTail: ReadonlySet<FaultKind> = new Set([
  "slowNetwork",
  "apiAway",
  "apiSlow",
  "apiLosesAnswers",
  "killOperator",
  "scaleWriters",
  "pauseMoves",
]);

const untilHolds = (world: World, ms: number, holds: () => boolean): boolean => {
  const { timeline } = world;
  const endMs = timeline.nowMs() + ms;
  while (timeline.nowMs() < endMs) {
    if (holds()) return true;
    timeline.run(Math.min(endMs, timeline.nowMs() + 20), () => false);
  }
  return holds();
};

/** Clients end, all is read once more, and all copies of a shard have to be the same. */
const finish = (world: World, clients: Clients, broken: (kind: string, what: string) => void): void => {
  if (!untilHolds(world, 5_000, clients.areDone)) broken("hangs", "a client's operation has no end");
  if (!untilHolds(world, 5_000, () => whyNotWell(world) === null)) {
    const why = whyNotWell(world) ?? "";
    broken("does not converge", `${convergeMsMax} ms after everything was mended: ${why}`);
    return;
  }
  let isRead = false;
  clients.readAll().then(
    () => {
      isRead = true;
    },
    (error: unknown) => {
      world.defects.push(`the last reads failed: ${String(error)}`);
    },
  );
  if (!untilHolds(world, 20_000, () => isRead))
    broken("does not converge", "not every key can be read at the end");
  if (!untilHolds(world, 10_000, () => strayIn(world) === null)) broken("kept", strayIn(world) ?? "");
  if (!untilHolds(world, 10_000, () => copiesDiffer(world) === null))
    broken("copies differ", copiesDiffer(world) ?? "");
};

/** What keeps the cluster from being as it should be; null where nothing does. */
const whyNotWell = (world: World): string | null => {
  const { spec } = world.cluster;
  const ownership = ownershipOf(world);
  if (ownership === null) return "there is no ownership";
  if (ownership.shards.length !== spec.writers) return `there are ${ownership.shards.length} shards`;
  if (ownership.moves.length > 0 || ownership.rebalance !== null) return movesText(ownership);
  const bare = ownership.shards.find(({ slots }) => slots.length === 0);
  if (bare !== undefined) return `shard ${bare.id} has no slots`;
  for (const { id, owner, phase, epoch } of ownership.shards) {
    if (phase.kind !== "stable") return `shard ${id} is ${phase.kind} in epoch ${epoch}`;
    const running = owner === null ? null : (world.pods.get(owner.pod)?.running ?? null);
    if (running === null || owner === null)
      return `the owner of shard ${id}, ${owner?.pod ?? "nobody"}, does not run`;
    if (owner.incarnation !== running.incarnation) return `the owner of shard ${id} is an earlier process`;
  }
  if (world.pods.size !== spec.writers + spec.readers) return `there are ${world.pods.size} pods`;
  if (ownership.assignments.length !== spec.readers)
    return `${ownership.assignments.length} readers are assigned`;
  for (const pod of world.pods.values()) {
    const why = unready(world, pod.name);
    if (why !== null) return `${pod.name}: ${why}`;
  }
  return null;
};

const movesText = ({ moves, rebalance }: Ownership): string =>
  `slots are to move: ${moves.map(({ id, from, to, stage }) => `${id} from ${from} to ${to} ${stage}`).join(", ")}; ${rebalance?.problem ?? "no problem"}`;

const unready = (world: World, name: string): string | null => {
  const running = world.pods.get(name)?.running ?? null;
  if ((running?.shard ?? null) === null || running === null) return "does not run";
  const page = world.network.routes(running.process)?.["/readyz"]?.(new URLSearchParams());
  if (page === undefined || page instanceof Promise) return "has no page";
  return page.status === 200 ? null : page.body.trim();
};

/** Copies of one shard that are not the same; null where all are. */
const copiesDiffer = (world: World): string | null => {
  const ownership = ownershipOf(world);
  for (const shard of ownership?.shards ?? []) {
    // The home pod follows where another owns.
    const pods = new Set([
      ...(shard.owner === null ? [] : [shard.owner.pod]),
      writerPod(world.cluster.name, shard.id),
      ...(ownership?.assignments ?? []).filter((one) => one.shard === shard.id).map(({ pod }) => pod),
    ]);
    const contents = [...pods].map((pod): readonly [string, string] => {
      const store = world.pods.get(pod)?.running?.store ?? null;
      return [pod, store === null ? "nothing" : JSON.stringify(Object.entries(entriesOf(store)).sort())];
    });
    const [first, ...others] = contents;
    const other = others.find(([, content]) => content !== first?.[1]);
    if (first !== undefined && other !== undefined)
      return `shard ${shard.id}: ${first.join(" has ")}, ${other.join(" has ")}`;
  }
  return null;
};

/** A key that a shard still holds though its slot is another's; null where there is none. */
const strayIn = (world: World): string | null => {
  for (const { id, owner, slots } of ownershipOf(world)?.shards ?? []) {
    const store = world.pods.get(owner?.pod ?? "")?.running?.store ?? null;
    const keys = store === null ? [] : Object.keys(entriesOf(store));
    const stray = keys.find((key) => {
      const at = slotOf(Buffer.from(key));
      return !slots.some(([first, last]) => first <= at && at <= last);
    });
    if (stray !== undefined) return `shard ${id} holds ${stray}, whose slot is another's`;
  }
  return null;
};

/** A scenario of its own for each seed. */
export const scenarioOf = (seed: number, only: Partial<Scenario> = {}): Scenario => {
  const random = seeded(seed).fork("scenario");
  const writers = random.pick([1, 1, 1, 1, 2]);
  const readers = random.pick([0, 1, 1, 1, 2, 2, 3]) * writers;
  // Most are short: what goes wrong goes wrong in the first second, and a run costs what it lasts.
  const isLong = random.chance(0.03);
  const chaosMs = isLong ? random.between(1_500, 4_500) : random.between(150, 350);
  const cluster = only.cluster ?? clusterFor(random, writers, readers);
  return {
    ...{ seed, cluster, operators: random.pick([1, 1, 2]), clients: random.pick([2, 3]) },
    ...{ thinkMs: random.pick([30, 30, 60]), chaosMs },
    faults: withWipe(
      planFaults(random, {
        count: 1 + random.below(isLong ? 5 : 2),
        ...{ fromMs: 20, toMs: chaosMs * 0.8, kinds: anyFault },
      }),
      { cluster, random, toMs: chaosMs },
    ),
    ...only,
  };
};

/** One volume may be lost where every acknowledged write is on two; not two of them. */
const withWipe = (
  faults: readonly Fault[],
  {
    cluster,
    random,
    toMs,
  }: { readonly cluster: ShardCluster; readonly random: Seeded; readonly toMs: number },
): readonly Fault[] => {
  const { acks, minInSync } = cluster.spec.durability;
  if (acks !== "inSync" || minInSync === 0 || !random.chance(0.3)) return faults;
  // Readers that go take their volumes along.
  const others = faults.filter(({ kind }) => kind !== "scaleReaders");
  return [...others, { kind: "wipe", atMs: random.between(20, toMs), forMs: random.between(50, 2_000) }];
};

const clusterFor = (random: Seeded, writers: number, readers: number): ShardCluster => {
  const { spec, ...rest } = clusterOf(writers, readers);
  const acks = random.pick(["inSync", "inSync", "owner"] as const);
  const minInSync = acks === "owner" || readers === 0 ? 0 : random.pick([0, 1, 1]);
  return {
    ...rest,
    spec: {
      ...spec,
      storage: { ephemeral: false, size: "1Gi", storageClassName: "", whenDeleted: "Retain" },
      durability: { fsync: "always", acks, minInSync },
      failover: { ...spec.failover, leaseSeconds: random.pick([0.5, 1]) },
    },
  };
};

export const describe = ({ seed, violations, events, ms, healedMs, faults }: Run): string =>
  [
    `seed ${seed}: ${violations.length} violations; ${events} events, ${ms.toFixed(0)} ms, healed in ${healedMs.toFixed(0)} ms; faults: ${faults.join(", ")}`,
    ...violations
      .slice(0, 10)
      .map(({ kind, key, what }) => `  ${kind}${key === "" ? "" : ` (${key})`}: ${what}`),
  ].join("\n");

export const historyOf = ({ history, violations }: Run): string =>
  history
    .filter(({ key }) => violations.some((violation) => violation.key === key))
    .map(inWords)
    .join("\n");
