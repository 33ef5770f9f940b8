import { backoffMs } from "../core/backoff.ts";
import type { Cancel } from "../core/clock.ts";
import { EdisError } from "../core/errors.ts";
import { hopsMax } from "../core/limits.ts";
import type { Epoch, ShardId } from "../core/ids.ts";
import type { Report } from "../core/message.ts";
import type { Result } from "../core/request.ts";
import { ownerOf, shardOf, type Member, type Shard, type TopologyIndex } from "../core/topology.ts";
import { createPodConnection, retireMsMax, type Failure, type PodConnection } from "./connection.ts";
import type { Context } from "./identity.ts";
import { isWrite, type Operation, type Outcome } from "./operation.ts";
import { createRotation, startOf, type Rotation } from "./rotation.ts";
import { route } from "./router.ts";
import type { TopologyWatch } from "./topology.ts";

/**
 * Carries operations to their end: routes them, tries again what certainly was not applied, ends what took too long.
 * A write that may have been applied is never sent twice: it ends with `outcome-unknown`.
 */
export type Dispatcher = {
  readonly submit: (operation: Operation) => void;
  /** Ends one that its caller gave up. */
  readonly abort: (operation: Operation, cause: unknown) => void;
  readonly report: (pod: string) => Promise<Report>;
  readonly close: () => void;
};

export type DispatcherOptions = Context & { readonly topology: TopologyWatch };

/** Before an operation is tried again. */
const retry = { firstMs: 10, maxMs: 500 };
/** One timer for all operations: what is due, what is over, who is silent. */
const sweepMs = 10;
/** A reader that has not answered for this long is passed over; reads can be asked twice. */
const readerSilentMsMax = 500;
/** An owner that has not answered for this long may be gone: others are asked who owns now. */
const ownerSilentMsMax = 500;
/** … this often. */
const askOthersMs = 250;
/** A pod that owes answers and says nothing at all for this long is dialled anew. */
const podSilentMsMax = 5_000;
/** Callers that wait at once; some hundred bytes each. */
export const operationsPendingMax = 1_000_000;

type State = {
  readonly options: DispatcherOptions;
  readonly rotation: Rotation;
  readonly pods: Map<string, PodConnection>;
  /** Gone from the topology, and until when they may still answer. */
  readonly retired: Map<PodConnection, number>;
  /** Submitted, not finished; each knows its place in it. No Set, for the reason that `outstanding` of a connection is no Map. */
  readonly pending: Operation[];
  /** Of them, those that wait to be tried again. */
  readonly waiting: Set<Operation>;
  readonly turns: number[];
  /** Process starts that own a shard, as the topology says. */
  owners: ReadonlySet<string>;
  earliestDeadlineMs: number;
  askedOthersMs: number;
  cancelSweep: Cancel | undefined;
  closed: boolean;
};

export const createDispatcher = (options: DispatcherOptions): Dispatcher => {
  const state: State = {
    options,
    rotation: createRotation(),
    pods: new Map(),
    retired: new Map(),
    pending: [],
    waiting: new Set(),
    turns: [],
    owners: new Set(),
    earliestDeadlineMs: Infinity,
    askedOthersMs: -Infinity,
    cancelSweep: undefined,
    closed: false,
  };
  const unsubscribe = options.topology.subscribe((index) => {
    moved(state, index);
  });
  return {
    submit: (operation) => {
      submit(state, operation);
    },
    abort: (operation, cause) => {
      const sent = operation.frame !== null && isWrite(operation);
      const outcome = sent ? "it may have been applied" : "nothing was applied";
      const message = `Cannot ${nameOf(operation)}: the caller gave it up; ${outcome}`;
      finish(state, operation, new EdisError("aborted", message, { cause }));
    },
    report: async (pod) => reportOf(state, pod),
    close: () => {
      state.closed = true;
      unsubscribe();
      state.cancelSweep?.();
      for (const operation of [...state.pending]) finish(state, operation, closedError(operation));
      for (const pod of state.pods.values()) pod.close(new EdisError("closed", "The client was closed"));
      state.pods.clear();
    },
  };
};

const submit = (state: State, operation: Operation): void => {
  const { pending } = state;
  if (state.closed) {
    operation.done(closedError(operation));
    return;
  }
  if (pending.length >= operationsPendingMax) {
    const message = `Cannot ${nameOf(operation)}: ${operationsPendingMax} operations wait already; await some first`;
    operation.done(new EdisError("too-busy", message));
    return;
  }
  operation.place = pending.length;
  pending.push(operation);
  if (operation.deadlineMs < state.earliestDeadlineMs) state.earliestDeadlineMs = operation.deadlineMs;
  state.cancelSweep ??= state.options.clock.every(sweepMs, () => {
    sweep(state);
  });
  send(state, operation);
};

const send = (state: State, operation: Operation): void => {
  const index = state.options.topology.current();
  if (index === undefined) {
    later(state, operation, new EdisError("no-topology", "no topology is known yet"));
    return;
  }
  const { rotation } = state;
  const nowMs = state.options.clock.nowMs();
  const { request, slot, tried } = operation;
  const ownerOnly = request.kind !== "get" || request.read.kind === "linearizable";
  const view = {
    index,
    inUse: (member: Member) => rotation.inUse(member, nowMs),
    isLeaving: rotation.isLeaving,
    turn: ({ id }: Shard) => (state.turns[id] = (state.turns[id] ?? 0) + 1),
  };
  const next = route(view, { slot, ownerOnly, tried });
  if (next.kind === "wait") {
    state.options.topology.refresh();
    later(state, operation, operation.reason ?? new EdisError(next.code, next.message));
    return;
  }
  if (request.kind === "get" && request.read.kind === "session") {
    const place = operation.session.of(index.topology.clusterId, next.shard.id);
    operation.request = { ...request, read: { kind: "session", ...place } };
  }
  const { shard, member } = next;
  const before = operation.sentTo;
  if (before !== null && before.epoch !== shard.epoch && ++operation.hops > hopsMax) {
    const message = `Cannot ${nameOf(operation)}: shard ${shard.id} changed hands ${hopsMax} times meanwhile`;
    finish(state, operation, new EdisError("stale-epoch", message, { cause: operation.reason }));
    return;
  }
  operation.sentTo = shard;
  podOf(state, index, member).submit(operation, shard);
};

const podOf = (state: State, { topology }: TopologyIndex, member: Member): PodConnection => {
  const key = startOf(member);
  const known = state.pods.get(key);
  if (known !== undefined) return known;
  const pod = createPodConnection({
    ...state.options,
    member,
    clusterId: topology.clusterId,
    replied: (operation, result, from) => {
      replied(state, operation, { result, from, clusterId: topology.clusterId });
    },
    failed: (operation, failure) => {
      failed(state, operation, failure);
    },
    told: (message, from, again) => {
      if (message.kind === "leaving") state.rotation.leaving(from);
      else state.options.topology.offer(message, again);
    },
  });
  state.pods.set(key, pod);
  return pod;
};

type Reply = { readonly result: Result; readonly from: Member; readonly clusterId: string };

const replied = (state: State, operation: Operation, { result, from, clusterId }: Reply): void => {
  operation.frame = null;
  if (result.kind === "error") {
    refused(state, operation, { error: new EdisError(result.code, result.message), from });
    return;
  }
  if (operation.sentTo !== null) operation.session.raise(clusterId, operation.sentTo.id, result);
  if (!isOwner(state, from)) state.rotation.answered(from);
  finish(state, operation, result);
};

type Refusal = { readonly error: EdisError; readonly from: Member };

/** A pod answered with an error. */
const refused = (state: State, operation: Operation, { error, from }: Refusal): void => {
  switch (error.next) {
    case "fix":
      // A frame of replies has room for some values: one that found none has a frame of its own.
      if (error.code === "too-large" && !isWrite(operation) && !operation.alone) {
        operation.alone = true;
        send(state, operation);
        return;
      }
      finish(state, operation, error);
      return;
    case "unknown":
      if (isWrite(operation)) finish(state, operation, error);
      else elsewhere(state, operation, { error, from });
      return;
    case "refresh":
      if (error.code === "shutting-down") state.rotation.leaving(from);
      state.pods.get(startOf(from))?.wantTopology();
      state.options.topology.refresh();
      elsewhere(state, operation, { error, from });
      return;
    case "retry":
    case "elsewhere":
      elsewhere(state, operation, { error, from });
  }
};

/** The connection failed, or the pod stays silent. */
const failed = (state: State, operation: Operation, { error, sent, member }: Failure): void => {
  operation.frame = null;
  if (sent && isWrite(operation)) {
    const message = `Cannot tell whether ${nameOf(operation)} was applied: ${error.message}; read before you decide`;
    finish(state, operation, new EdisError("outcome-unknown", message, { cause: error }));
    return;
  }
  state.options.topology.refresh();
  elsewhere(state, operation, { error, from: member });
};

/** Reads go to the next one who may answer, at once; all else waits a moment. */
const elsewhere = (state: State, operation: Operation, { error, from }: Refusal): void => {
  operation.reason = error;
  if (isOvertaken(state, operation)) {
    send(state, operation);
    return;
  }
  if (isWrite(operation) || isOwnerOnly(operation) || isOwner(state, from)) {
    later(state, operation, error);
    return;
  }
  leaveOut(state, operation, from);
  // A reader that is behind a session has waited for it already: the owner need not.
  const skipped = error.code === "behind" ? readersOf(state, operation) : [from.pod];
  operation.tried = [...operation.tried, ...skipped];
  send(state, operation);
};

/** The slot has changed hands since it was sent, as is known by now: there is nothing to wait for. */
const isOvertaken = ({ options }: State, { slot, sentTo }: Operation): boolean => {
  const index = options.topology.current();
  const now = index === undefined ? undefined : shardOf(index, slot);
  return sentTo !== null && now !== undefined && (now.id !== sentTo.id || now.epoch > sentTo.epoch);
};

const readersOf = ({ options }: State, { sentTo }: Operation): readonly string[] => {
  const index = options.topology.current();
  return index === undefined || sentTo === null ? [] : (index.readers[sentTo.id] ?? []).map(({ pod }) => pod);
};

/** A reader that lags behind one caller's own narrow bound is still good for the others. */
const leaveOut = (state: State, { request }: Operation, from: Member): void => {
  const { clock, random, topology } = state.options;
  const bound = request.kind === "get" && request.read.kind === "eventual" ? request.read.lagMsMax : null;
  if (bound !== null && bound < (topology.current()?.topology.lagMsMax ?? 0)) return;
  state.rotation.leaveOut(from, clock.nowMs(), random());
};

const isOwner = ({ owners }: State, pod: Member): boolean => owners.has(startOf(pod));

const isOwnerOnly = ({ request }: Operation): boolean =>
  request.kind !== "get" || request.read.kind === "linearizable";

/** Tries again after a moment, or as soon as the topology changes. */
const later = (state: State, operation: Operation, reason: EdisError): void => {
  const { clock, random } = state.options;
  if (operation.finished) return;
  operation.attempts++;
  operation.reason = reason;
  operation.tried = [];
  operation.dueMs = clock.nowMs() + backoffMs(retry, operation.attempts, random());
  state.waiting.add(operation);
};

/** A newer topology came: connections to what is gone end, and what waited for it goes on. */
const moved = (state: State, index: TopologyIndex): void => {
  const { topology } = index;
  state.rotation.keep(topology);
  state.owners = new Set(topology.shards.flatMap(({ owner }) => (owner === null ? [] : startOf(owner))));
  const present = new Set(topology.members.map(startOf));
  for (const [key, pod] of state.pods) {
    if (present.has(key)) continue;
    state.pods.delete(key);
    pod.retire();
    state.retired.set(pod, state.options.clock.nowMs() + retireMsMax);
  }
  for (const { from, to } of successions(index)) {
    const talks = from !== undefined && state.pods.has(startOf(from));
    if (talks && to !== undefined) podOf(state, index, to).dial();
  }
  const waiting = [...state.waiting];
  state.waiting.clear();
  for (const operation of waiting) send(state, operation);
};

/** Who is about to own what another owns still: whoever talks to the one will talk to the other. */
const successions = (
  index: TopologyIndex,
): readonly { readonly from: Member | undefined; readonly to: Member | undefined }[] => [
  ...index.topology.moves.map(({ from, to }) => ({ from: ownerOf(index, from), to: ownerOf(index, to) })),
  ...index.topology.shards.flatMap(({ id, phase }) =>
    phase.kind === "handover" ? [{ from: ownerOf(index, id), to: index.members.get(phase.to.pod) }] : [],
  ),
];

const sweep = (state: State): void => {
  const { clock } = state.options;
  const nowMs = clock.nowMs();
  if (nowMs >= state.earliestDeadlineMs) {
    let earliest = Infinity;
    for (const operation of [...state.pending]) {
      if (operation.deadlineMs <= nowMs) finish(state, operation, timeoutError(operation));
      else if (operation.deadlineMs < earliest) earliest = operation.deadlineMs;
    }
    state.earliestDeadlineMs = earliest;
  }
  for (const operation of state.waiting) {
    if (operation.dueMs > nowMs) continue;
    state.waiting.delete(operation);
    send(state, operation);
  }
  const isOver = (shard: ShardId, epoch: Epoch): boolean => {
    const now = state.options.topology.current()?.topology.shards[shard];
    return now !== undefined && now.epoch > epoch;
  };
  for (const pod of state.pods.values()) {
    if (!isOwner(state, pod.member)) pod.giveUpReads(readerSilentMsMax);
    else if (pod.isSilent(ownerSilentMsMax)) askOthers(state, pod.member);
    pod.giveUpOvertaken(isOver, ownerSilentMsMax);
    pod.dropIfSilent(podSilentMsMax);
  }
  for (const [pod, untilMs] of state.retired) {
    pod.giveUpOvertaken(isOver, ownerSilentMsMax);
    if (nowMs > untilMs) state.retired.delete(pod);
  }
  if (state.pending.length === 0) {
    state.retired.clear();
    state.cancelSweep?.();
    state.cancelSweep = undefined;
    state.earliestDeadlineMs = Infinity;
  }
};

/** The source of the topology may be the very pod that says nothing: any other one tells as well. */
const askOthers = (state: State, { pod }: Member): void => {
  const { clock, random, topology } = state.options;
  const index = topology.current();
  if (index === undefined || clock.nowMs() - state.askedOthersMs < askOthersMs) return;
  state.askedOthersMs = clock.nowMs();
  const others = index.topology.members.filter((member) => member.pod !== pod && member.state === "serving");
  const other = others[Math.floor(random() * others.length)];
  if (other !== undefined) podOf(state, index, other).askTopology();
};

const finish = (state: State, operation: Operation, outcome: Outcome): void => {
  if (operation.finished) return;
  operation.finished = true;
  operation.frame = null;
  leave(state.pending, operation);
  if (operation.dueMs > 0) state.waiting.delete(operation);
  operation.done(outcome);
};

/** The last one takes its place. */
const leave = (pending: Operation[], operation: Operation): void => {
  if (operation.place < 0) return;
  const last = pending.pop();
  if (last === undefined || last === operation) return;
  pending[operation.place] = last;
  last.place = operation.place;
};

/** What to say when the time is over: what stood in the way, or that nobody knows. */
const timeoutError = (operation: Operation): EdisError => {
  const { frame, timeoutMs, reason } = operation;
  if (frame === null) {
    const why = reason === null ? "it could not be sent" : reason.message;
    const message = `Cannot ${nameOf(operation)} within ${timeoutMs} ms: ${why}`;
    return new EdisError(reason?.next === "unknown" ? "timeout" : (reason?.code ?? "unreachable"), message, {
      cause: reason,
    });
  }
  if (isWrite(operation)) {
    const message = `Cannot tell whether ${nameOf(operation)} was applied: no answer within ${timeoutMs} ms; read before you decide`;
    return new EdisError("outcome-unknown", message, { cause: reason });
  }
  return new EdisError("timeout", `Cannot ${nameOf(operation)}: no answer within ${timeoutMs} ms`, {
    cause: reason,
  });
};

const closedError = (operation: Operation): EdisError => {
  const sent = operation.frame !== null && isWrite(operation);
  const message = `Cannot ${nameOf(operation)}: the client was closed`;
  return sent
    ? new EdisError("outcome-unknown", `${message} before the answer came; it may have been applied`)
    : new EdisError("closed", message);
};

const reportOf = async (state: State, pod: string): Promise<Report> => {
  const index = state.options.topology.current();
  const member = index?.members.get(pod);
  if (index === undefined || member === undefined)
    throw new EdisError("unreachable", `Cannot ask ${pod}: the topology names no such pod`);
  return podOf(state, index, member).report();
};

const nameOf = ({ request }: Operation): string => {
  const text = JSON.stringify(Buffer.from(request.key.subarray(0, 64)).toString());
  return `${request.kind} ${request.key.length > 64 ? `${text}…` : text}`;
};
