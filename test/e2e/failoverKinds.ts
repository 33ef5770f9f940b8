import { expect, field, kubectl, must, until } from "./kube.ts";
import type { Lines } from "./lines.ts";
import type { LoadLine } from "./loadPod.ts";
import type { ShardSeen, ShardWatch } from "./shardWatch.ts";
import { faults, in_, nodeIs, nodeOf, patch, signalShard } from "./world.ts";

/** What can become of an owner, and how long its shard, or any slot, then takes no write. */

export type Sample = {
  readonly kind: string;
  /** Whom it happened to. */
  readonly what: string;
  /** The longest time without an acknowledged write. Milliseconds. */
  readonly gapMs: number;
  /** Operations that ended with an error meanwhile, anywhere. */
  readonly errors: number;
};

export type Around = {
  readonly shards: ShardWatch;
  readonly load: Lines<LoadLine>;
  /** Nodes with neither the load nor the operator that leads. */
  readonly victims: readonly string[];
};

/** Does it once, to whoever is fit for it. */
export type Kind = (around: Around) => Promise<readonly Sample[]>;

const soonMs = 30_000;
/** Pods that are away come back, copy, and are in sync again. */
const wellMs = 180_000;
/** A line with no longer gap shows that writes go on. */
const calmMs = 100;
const copies = 3;

const isWell = ({ owner, inSync, phase }: ShardSeen): boolean =>
  owner !== null && phase.kind === "stable" && inSync.length === copies - 1;
const isHome = ({ id, owner }: ShardSeen): boolean => owner?.pod === `demo-write-${id}`;

const allWell = ({ shards }: Around, isFit: (shard: ShardSeen) => boolean = () => true): Promise<true> =>
  shards.until("all shards are well", wellMs, (now) =>
    now.length > 0 && now.every((shard) => isWell(shard) && isFit(shard)) ? true : null,
  );

let turn = 0;
/** Each shard in turn, while all is well and no pod starts: what one thing costs is to be seen, not what two do. */
const pick = async (around: Around): Promise<ShardSeen> => {
  await allWell(around);
  const { shards } = around;
  const shard = shards.now()[turn++ % shards.now().length];
  if (shard === undefined) throw new Error("there is no shard");
  return shard;
};

/** Every one of these has another owner than before. */
const moved = ({ shards }: Around, before: readonly ShardSeen[]): Promise<true> =>
  shards.until("another owner", soonMs, (now) =>
    before.every(({ id, owner }) => {
      const other = now[id]?.owner ?? null;
      return other !== null && other.incarnation !== owner?.incarnation;
    })
      ? true
      : null,
  );

const atMs = ({ load }: Around): number => load.all().at(-1)?.atMs ?? 0;
/** The load's next line but `more`. */
const fresh = (around: Around, more = 0): Promise<number> => {
  const before = around.load.all().length;
  return around.load.until("a word of the load", soonMs, (all) =>
    all.length > before + more ? atMs(around) : null,
  );
};

const slotsOf =
  (shards: readonly ShardSeen[]) =>
  (slot: number): boolean =>
    shards.some(({ slots }) => slots.some(([from, to]) => from <= slot && slot <= to));

const isCalm = (lines: readonly LoadLine[], isMeant: (slot: number) => boolean): boolean =>
  lines.every(({ gaps }) => gaps.every(([slot, ms]) => !isMeant(slot) || ms < calmMs));

/** The longest gap of each shard's slots while something is done, until writes go on. */
const during = async (
  around: Around,
  shards: readonly ShardSeen[],
  act: () => Promise<unknown>,
): Promise<{ readonly gapMsOf: (shard: ShardSeen) => number; readonly errors: number }> => {
  const { load } = around;
  await load.until("writes go on", soonMs, (all) => (isCalm(all.slice(-2), () => true) ? true : null));
  const sinceMs = await fresh(around);
  await act();
  const isTheirs = slotsOf(shards);
  await fresh(around);
  await load.until("writes go on", soonMs, (all) => (isCalm(all.slice(-1), isTheirs) ? true : null));
  const lines = load.all().filter((line) => line.atMs > sinceMs);
  const [before, after] = [load.all().find((line) => line.atMs === sinceMs), lines.at(-1)];
  const failed = (line: LoadLine | undefined): number =>
    (line?.writeFailures ?? 0) + (line?.readFailures ?? 0);
  const gapMsOf = (shard: ShardSeen): number => {
    const isIts = slotsOf([shard]);
    return Math.max(...lines.flatMap(({ gaps }) => gaps.map(([slot, ms]) => (isIts(slot) ? ms : 0))));
  };
  return { gapMsOf, errors: failed(after) - failed(before) };
};

const killed: Kind = async (around) => {
  const shard = await pick(around);
  const pod = shard.owner?.pod ?? "";
  const { gapMsOf, errors } = await during(around, [shard], async () => {
    await signalShard?.("KILL", pod);
    await moved(around, [shard]);
  });
  // The kubelet starts a container at once only the first time: the next one to be killed is one that was not.
  await allWell(around);
  await kubectl(...in_, "delete", "pod", pod);
  return [{ kind: "killed", what: pod, gapMs: gapMsOf(shard), errors }];
};

const deleted: Kind = async (around) => {
  const shard = await pick(around);
  const pod = shard.owner?.pod ?? "";
  const { gapMsOf, errors } = await during(around, [shard], async () => {
    await kubectl(...in_, "delete", "pod", pod, "--wait=false");
    await moved(around, [shard]);
  });
  return [{ kind: "deleted", what: pod, gapMs: gapMsOf(shard), errors }];
};

const frozen: Kind = async (around) => {
  const shard = await pick(around);
  const pod = shard.owner?.pod ?? "";
  const { gapMsOf, errors } = await during(around, [shard], async () => {
    await signalShard?.("STOP", pod);
    await moved(around, [shard]);
  }).finally(() => signalShard?.("CONT", pod));
  return [{ kind: "frozen", what: pod, gapMs: gapMsOf(shard), errors }];
};

/** A node is taken away until all that it owned is owned by others, and given back. */
const nodeAway =
  (kind: string, down: (node: string) => Promise<string>, up: (node: string) => Promise<string>): Kind =>
  async (around) => {
    const { shards, victims } = around;
    await allWell(around);
    const [node, owned] = await ownerNode(shards.now(), victims);
    const { gapMsOf, errors } = await during(around, owned, async () => {
      await down(node);
      await moved(around, owned);
    }).finally(() => up(node));
    await nodeIs(node, true);
    return owned.map((shard) => ({
      kind,
      what: `${node} ${shard.owner?.pod ?? ""}`,
      gapMs: gapMsOf(shard),
      errors,
    }));
  };

/** A node that owns something, each in turn. */
const ownerNode = async (
  shards: readonly ShardSeen[],
  victims: readonly string[],
): Promise<readonly [string, readonly ShardSeen[]]> => {
  turn++;
  const nodes = new Map<string, ShardSeen[]>();
  for (const shard of shards) {
    const node = await nodeOf(shard.owner?.pod ?? "");
    nodes.set(node, [...(nodes.get(node) ?? []), shard]);
  }
  const fit = victims.filter((node) => nodes.has(node));
  const node = fit[turn % fit.length];
  expect(node !== undefined, `no owner is on ${victims.join(", ")}`);
  return [node ?? "", nodes.get(node ?? "") ?? []];
};

/** What goes over every slot until everybody is home again: the longest gap of any slot. */
const planned =
  (kind: string, act: (around: Around) => Promise<string>): Kind =>
  async (around) => {
    const { shards } = around;
    await allWell(around, isHome);
    const before = shards.now();
    let what = "";
    const { gapMsOf, errors } = await during(around, before, async () => {
      what = await act(around);
      await allWell(around, isHome);
    });
    return [{ kind, what, gapMs: Math.max(...before.map(gapMsOf)), errors }];
  };

const drained = planned("drained", async ({ shards, victims }) => {
  const [node] = await ownerNode(shards.now(), victims);
  try {
    await must("kubectl", [
      ...["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s"],
      "--pod-selector=app.kubernetes.io/instance=demo",
    ]);
  } finally {
    await kubectl("uncordon", node);
  }
  return node;
});

const rolled = planned("rolled", async () => {
  await patch("demo", `{"template":{"annotations":{"rolled":"${Date.now()}"}}}`);
  const isUpToDate = async (): Promise<string | undefined> => {
    const now = await field("{.status.upToDate}", ...in_, "shc", "demo");
    return now === `${copies * 3}/${copies * 3}` ? undefined : now;
  };
  await until("it begins", soonMs, async () => ((await isUpToDate()) === undefined ? "not yet" : undefined));
  return `in ${await until("every pod is up to date", wellMs * 2, isUpToDate)} ms`;
});

const { cutNode, healNode, stopNode, startNode } = faults;
/** Those for which the machine has the means. */
export const kinds: Readonly<Record<string, Kind>> = {
  ...(signalShard === undefined ? {} : { killed, frozen }),
  ...{ deleted, drained, rolled },
  ...(cutNode === undefined || healNode === undefined ? {} : { cut: nodeAway("cut", cutNode, healNode) }),
  ...(stopNode === undefined || startNode === undefined
    ? {}
    : { stopped: nodeAway("stopped", stopNode, startNode) }),
};
