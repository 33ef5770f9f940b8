import type { Clock } from "../../core/clock.ts";
import { EdisError } from "../../core/errors.ts";
import {
  decodeMessage,
  fromShardSchema,
  type Hello,
  type Register,
  type Report,
  type SlotSizes,
} from "../../core/message.ts";
import type { PodRef } from "../../core/topology.ts";
import type { Connection, Handlers } from "../../net/connection.ts";
import { suspectMs } from "../plan/ownerPlan.ts";
import type { Departed, Session } from "../plan/model.ts";

/** Five heartbeats: a process that is there reports every 0.2 s. */
export const silentMsMax = 1_000;
/** After the hello, until it says where it listens and how it is doing. */
const registerMsMax = 5_000;
/** Process starts of one pod that are remembered as replaced: a twin that comes back over and over must not win each time. */
const replacedMax = 8;

export type Sessions = {
  /** Takes a shard's proved connection. */
  readonly open: (connection: Connection, hello: Hello) => Handlers;
  /** Throws `wrong-pod` for a process that a newer start of its pod has replaced. */
  readonly admit: (ref: PodRef) => void;
  /** Processes that registered, reported, and are not silent. */
  readonly list: () => readonly Session[];
  /** Processes that were in the list and are not any more. */
  readonly departed: () => readonly Departed[];
  /** Drops the silent; `pausedMs` is how long this process itself could not hear. */
  readonly sweep: (pausedMs: number) => void;
  readonly close: (reason: EdisError) => void;
};

export type SessionEvents = {
  /** Somebody came, went, or does something else than before: the plan may want to know. */
  readonly changed: () => void;
  /** A heartbeat of one that is there already. */
  readonly reported: (session: Session) => void;
  /** What is said to a report at once; null: nothing. */
  readonly answer: (session: Session) => Uint8Array | null;
};

type Tracked = {
  readonly ref: PodRef;
  readonly role: "writer" | "reader";
  readonly connection: Connection;
  session: Session | null;
  registered: Omit<Register, "kind"> | null;
  slotSizes: SlotSizes | null;
  heardMs: number;
  silent: boolean;
};

/** The shard processes of one cluster that are connected now: one per pod, the newest start. */
export const createSessions = (clock: Clock, events: SessionEvents): Sessions => {
  const byPod = new Map<string, Tracked>();
  const starts = createStarts(clock);

  const drop = (tracked: Tracked): void => {
    if (byPod.get(tracked.ref.pod) !== tracked) return;
    byPod.delete(tracked.ref.pod);
    if (tracked.session !== null) starts.left(tracked.ref, tracked.silent ? tracked.heardMs : clock.nowMs());
    if (isThere(tracked)) events.changed();
  };
  const replace = (old: Tracked, incarnation: string): void => {
    const { ref, connection } = old;
    if (ref.incarnation !== incarnation) starts.replaced(ref);
    drop(old);
    connection.close(replacedError(ref));
  };
  const heard = (tracked: Tracked, report: Report): void => {
    const before = isThere(tracked) ? tracked.session : null;
    const session = sessionOf(tracked, report, starts.ageMs(tracked.ref));
    tracked.session = session;
    tracked.heardMs = clock.nowMs();
    tracked.silent = false;
    starts.came(tracked.ref);
    const answer = events.answer(session);
    if (answer !== null) tracked.connection.send(answer);
    if (before === null || activity(before.report) !== activity(report)) events.changed();
    else events.reported(session);
  };

  return {
    admit: starts.admit,
    open: (connection, hello) => {
      const tracked = newlyTracked(connection, hello, clock.nowMs());
      const old = byPod.get(hello.pod);
      if (old !== undefined) replace(old, hello.incarnation);
      byPod.set(hello.pod, tracked);
      return {
        message: (frame) => {
          const message = decodeMessage(fromShardSchema, frame);
          switch (message.kind) {
            case "register":
              tracked.registered = registrationOf(tracked, message);
              return;
            case "report":
              heard(tracked, message.report);
              return;
            case "slotSizes":
              tracked.slotSizes = message;
              return;
          }
        },
        closed: () => {
          drop(tracked);
        },
      };
    },
    list: () => present([...byPod.values()], clock.nowMs(), starts.ageMs),
    departed: () => [...starts.departed(), ...silentOnes([...byPod.values()], clock.nowMs())],
    sweep: (pausedMs) => {
      const silent = fallenSilent([...byPod.values()], clock.nowMs(), pausedMs);
      if (silent.length > 0) events.changed();
    },
    close: (reason) => {
      const all = [...byPod.values()];
      byPod.clear();
      for (const { connection } of all) connection.close(reason);
    },
  };
};

const present = (
  all: readonly Tracked[],
  nowMs: number,
  ageMs: (ref: PodRef) => number,
): readonly Session[] =>
  all.flatMap(({ session, silent, heardMs, slotSizes, ref }) =>
    session === null || silent ? [] : { ...session, ageMs: ageMs(ref), silentMs: nowMs - heardMs, slotSizes },
  );

const silentOnes = (
  all: readonly Tracked[],
  nowMs: number,
): readonly (PodRef & { readonly goneMs: number })[] =>
  all
    .filter(({ session, silent }) => session !== null && silent)
    .map(({ ref, heardMs }) => ({ ...ref, goneMs: nowMs - heardMs }));

/** Marks those that are silent from now on, and sends away who never registered. */
const fallenSilent = (all: readonly Tracked[], nowMs: number, pausedMs: number): readonly Tracked[] => {
  for (const tracked of all) {
    tracked.heardMs += pausedMs;
    const waits = tracked.session === null && nowMs - tracked.heardMs > registerMsMax;
    if (waits) tracked.connection.close(unregisteredError);
  }
  const silent = all.filter((tracked) => isThere(tracked) && nowMs - tracked.heardMs > silentMsMax);
  for (const tracked of silent) tracked.silent = true;
  return silent;
};

/** What is remembered of process starts. Bounded by the names that pods can have. */
const createStarts = (clock: Clock) => {
  const gone = new Map<string, readonly string[]>();
  /** A reconnect does not make a process younger. */
  const firsts = new Map<string, { readonly incarnation: string; readonly atMs: number }>();
  /** By pod, then incarnation: when it was last there. */
  const lefts = new Map<string, Map<string, number>>();
  return {
    left: ({ pod, incarnation }: PodRef, atMs: number): void => {
      const ofPod = lefts.get(pod) ?? new Map<string, number>();
      lefts.set(pod, ofPod.set(incarnation, atMs));
      const [oldest] = ofPod.keys();
      if (ofPod.size > replacedMax && oldest !== undefined) ofPod.delete(oldest);
    },
    came: ({ pod, incarnation }: PodRef): void => {
      const ofPod = lefts.get(pod);
      if (ofPod?.delete(incarnation) === true && ofPod.size === 0) lefts.delete(pod);
    },
    departed: (): readonly Departed[] =>
      [...lefts].flatMap(([pod, ofPod]) =>
        [...ofPod].map(([incarnation, atMs]) => ({ pod, incarnation, goneMs: clock.nowMs() - atMs })),
      ),
    replaced: ({ pod, incarnation }: PodRef): void => {
      gone.set(pod, [...(gone.get(pod) ?? []), incarnation].slice(-replacedMax));
    },
    admit: (ref: PodRef): void => {
      if (gone.get(ref.pod)?.includes(ref.incarnation) === true) throw replacedError(ref);
    },
    ageMs: ({ pod, incarnation }: PodRef): number => {
      const first = firsts.get(pod);
      if (first?.incarnation === incarnation) return clock.nowMs() - first.atMs;
      firsts.set(pod, { incarnation, atMs: clock.nowMs() });
      return 0;
    },
  };
};

const isThere = ({ session, silent }: Tracked): boolean => session !== null && !silent;

const newlyTracked = (connection: Connection, hello: Hello, nowMs: number): Tracked => ({
  ref: { pod: hello.pod, incarnation: hello.incarnation },
  role: hello.role === "writer" ? "writer" : "reader",
  connection,
  session: null,
  registered: null,
  slotSizes: null,
  heardMs: nowMs,
  silent: false,
});

const registrationOf = (
  { ref, role }: Tracked,
  { kind: _, ...registered }: Register,
): Tracked["registered"] => {
  if (registered.home === role) return registered;
  const { home } = registered;
  throw new EdisError("wrong-role", `Cannot register ${ref.pod} as a ${home}: its hello said ${role}`);
};

const sessionOf = ({ registered, ref, role }: Tracked, report: Report, ageMs: number): Session => {
  if (registered === null) throw new EdisError("bad-message", "Cannot take a report: register first");
  if (report.pod !== ref.pod || report.incarnation !== ref.incarnation || report.home !== role) {
    throw new EdisError("wrong-pod", `Cannot take the report of ${report.pod} from ${role} ${ref.pod}`);
  }
  return { ...ref, registered, report, ageMs, silentMs: 0, slotSizes: null };
};

/** What of a report the plan acts on at once. Figures that change with every heartbeat are not in it. */
const activity = ({ serving, leaving, version, promised }: Report): string =>
  JSON.stringify([doing(serving), leaving, version > 0, promised?.shard, promised?.epoch]);

const doing = (serving: Report["serving"]): readonly unknown[] => {
  switch (serving.kind) {
    case "nothing":
      return [];
    case "owner": {
      const { shard, epoch, sync, frozen, moves } = serving;
      const steps = moves.map((move) =>
        move.kind === "source" ? [move.id, move.frozen] : [move.id, move.state, move.holds, move.problem],
      );
      return ["owner", shard, epoch, sync.seq, frozen, steps];
    }
    case "reader": {
      const { shard, epoch, state, heardMs } = serving;
      return ["reader", shard, epoch, state, heardMs !== null && heardMs < suspectMs];
    }
  }
};

const replacedError = ({ pod, incarnation }: PodRef): EdisError =>
  new EdisError("wrong-pod", `Cannot serve ${pod} (${incarnation}): a newer start of it has taken its place`);
const unregisteredError = new EdisError(
  "timeout",
  `Cannot wait longer than ${registerMsMax} ms for a register and a report`,
);
