import * as v from "valibot";
import { isoTime, type Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import { term, type Term } from "../../core/ids.ts";
import type { Logger } from "../../core/logger.ts";
import { isStatus, type Api } from "./api.ts";
import { collection } from "./paths.ts";

/**
 * Who leads among several operators: the holder of one Lease. The leader renews every `retryMs`; it stops leading when it
 * has not managed to for `renewMs`, by its own monotonic clock, counted from before the last renewal that worked was sent. Others take the Lease over when
 * they have seen no change of it for `durationMs`, by theirs. As `renewMs` is the smaller, there is never more than one.
 */
export type LeaseOptions = {
  readonly api: Api;
  readonly namespace: string;
  readonly name: string;
  /** Name of this process's pod: a container that starts anew takes up its own Lease at once, in a new term. */
  readonly pod: string;
  /** Where this process serves, for those that stand by. */
  readonly address: LeaderAddress;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Another process holds the Lease, as far as is known. */
  readonly follow: (leader: LeaderAddress | null) => void;
  readonly times?: LeaseTimes;
};
export type LeaseTimes = { readonly durationMs: number; readonly renewMs: number; readonly retryMs: number };
export type LeaderAddress = { readonly info: string; readonly http: string };

/** Leadership, once it is won. */
export type Leadership = {
  readonly term: Term;
  /** Whether the Lease is held at this very moment, by this process's own clock. */
  readonly isHeld: () => boolean;
  /** Aborted when leadership is lost. */
  readonly lost: AbortSignal;
  /** Gives the Lease back, so that another takes it at once. Only when nothing of the leader's work runs any more. */
  readonly release: () => Promise<void>;
};

/**
 * Kubernetes' own components take 15, 10 and 2 s. Here writes may wait for who leads: where a node is lost with him and with a copy in
 * sync, only his successor can leave that copy out. A leader that ends as it cannot renew could decide nothing anyway.
 */
const defaults: LeaseTimes = { durationMs: 6_000, renewMs: 4_000, retryMs: 1_000 };

const infoAnnotation = "edis.dev/info";
const httpAnnotation = "edis.dev/http";
/**
 * Terms begin at the count of 10 seconds since 1970, as the field has 31 bits: a Lease that somebody deleted must not bring
 * terms back that shards have seen.
 */
const firstTerm = (clock: Clock): number => Math.floor(clock.wallMs() / 10_000);

const lease = v.object({
  metadata: v.object({
    resourceVersion: v.string(),
    annotations: v.optional(v.record(v.string(), v.string()), {}),
  }),
  spec: v.optional(
    v.object({
      holderIdentity: v.optional(v.nullable(v.string()), ""),
      leaseDurationSeconds: v.optional(v.number(), 15),
      leaseTransitions: v.optional(v.number(), 0),
      acquireTime: v.optional(v.nullable(v.string()), null),
    }),
    {},
  ),
});
type Stored = v.InferOutput<typeof lease>;

/** Waits until this process holds the Lease. Rejects when the signal is aborted before. */
export const acquireLease = async (options: LeaseOptions, signal: AbortSignal): Promise<Leadership> => {
  const { clock, logger, follow, times = defaults } = options;
  let seen: { readonly version: string; readonly atMs: number } | undefined;
  for (;;) {
    try {
      const sentMs = clock.nowMs();
      const stored = await read(options);
      const holder = stored?.spec.holderIdentity ?? "";
      const version = stored?.metadata.resourceVersion ?? "";
      if (seen?.version !== version) seen = { version, atMs: clock.nowMs() };
      const heldMs = (stored?.spec.leaseDurationSeconds ?? 0) * 1000;
      if (holder === "" || holder === options.pod || clock.nowMs() - seen.atMs >= heldMs) {
        const taken = await take(options, stored);
        logger.info({ term: taken.spec.leaseTransitions, before: holder }, "this operator leads");
        return keep(options, taken, sentMs);
      }
      follow(addressFrom(stored));
    } catch (error) {
      signal.throwIfAborted();
      if (!isStatus(error, 409)) logger.warn({ reason: messageOf(error) }, "cannot take the lease");
    }
    await clock.sleep(times.retryMs, signal);
  }
};

/** Renews until it fails for too long. */
const keep = (options: LeaseOptions, taken: Stored, sentMs: number): Leadership => {
  const { clock, logger, times = defaults } = options;
  const lost = new AbortController();
  const released = new AbortController();
  let stored = taken;
  let renewedMs = sentMs;

  const renew = async (): Promise<void> => {
    const atMs = clock.nowMs();
    try {
      stored = await write(options, stored, stored.spec);
      renewedMs = atMs;
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, "cannot renew the lease");
      if (isStatus(error, 409)) stored = await afterConflict(stored);
    }
  };
  /** A write that was made, but whose answer was lost, is not somebody else's. */
  const afterConflict = async (mine: Stored): Promise<Stored> => {
    const now = await read(options).catch(() => undefined);
    if (now === undefined) return mine;
    const { holderIdentity, leaseTransitions } = now?.spec ?? {};
    if (now !== null && holderIdentity === options.pod && leaseTransitions === mine.spec.leaseTransitions) {
      return now;
    }
    lost.abort();
    return mine;
  };
  const isHeld = (): boolean => !released.signal.aborted && !lost.signal.aborted;
  const work = async (): Promise<void> => {
    while (isHeld()) {
      await clock.sleep(times.retryMs, released.signal).catch(() => undefined);
      if (isHeld()) await renew();
    }
  };
  // Apart from the renewing, which may hang: this must not.
  const stopChecking = clock.every(Math.min(100, times.retryMs), () => {
    if (clock.nowMs() - renewedMs >= times.renewMs) lost.abort();
  });
  lost.signal.addEventListener("abort", stopChecking);
  const working = work();

  return {
    term: term(taken.spec.leaseTransitions),
    isHeld: () => isHeld() && clock.nowMs() - renewedMs < times.renewMs,
    lost: lost.signal,
    release: async () => {
      stopChecking();
      released.abort();
      await working;
      if (lost.signal.aborted) return;
      try {
        // The renewal that was under way may have come through.
        const now = await read(options);
        if (now?.spec.holderIdentity !== options.pod) return;
        await write(options, now, { ...now.spec, holderIdentity: "" });
        logger.info({}, "gave the lease back");
      } catch (error) {
        logger.warn({ reason: messageOf(error) }, "cannot give the lease back: it runs out by itself");
      }
    },
  };
};

const take = async (options: LeaseOptions, stored: Stored | null): Promise<Stored> => {
  const before = stored?.spec.leaseTransitions ?? 0;
  const leaseTransitions = before === 0 ? firstTerm(options.clock) : before + 1;
  const acquireTime = microTime(options.clock);
  return write(options, stored, { holderIdentity: options.pod, leaseTransitions, acquireTime });
};

const read = async (options: LeaseOptions): Promise<Stored | null> => {
  try {
    return v.parse(
      lease,
      await options.api.request({ method: "GET", path: pathOf(options), ...within(options) }),
    );
  } catch (error) {
    if (isStatus(error, 404)) return null;
    throw error;
  }
};

type Written = {
  readonly holderIdentity: string | null;
  readonly leaseTransitions: number;
  readonly acquireTime: string | null;
};

/** Compare-and-set: rejects with status 409 where the Lease is not as it was read. */
const write = async (options: LeaseOptions, stored: Stored | null, spec: Written): Promise<Stored> => {
  const { api, namespace, name, address, clock, times = defaults } = options;
  const body = {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: {
      name,
      namespace,
      annotations: { [infoAnnotation]: address.info, [httpAnnotation]: address.http },
      ...(stored === null ? {} : { resourceVersion: stored.metadata.resourceVersion }),
    },
    spec: {
      holderIdentity: spec.holderIdentity,
      leaseTransitions: spec.leaseTransitions,
      acquireTime: spec.acquireTime,
      renewTime: microTime(clock),
      leaseDurationSeconds: Math.ceil(times.durationMs / 1000),
    },
  };
  const where =
    stored === null
      ? ({ method: "POST", path: leases(namespace) } as const)
      : ({ method: "PUT", path: pathOf(options) } as const);
  return v.parse(lease, await api.request({ ...where, body, ...within(options) }));
};

const leases = (namespace: string): string => collection("coordination.k8s.io/v1", "leases", namespace);
const pathOf = ({ namespace, name }: LeaseOptions): string => `${leases(namespace)}/${name}`;
/** A request that hangs must leave time for another. */
const within = ({ times = defaults }: LeaseOptions): { readonly idleMsMax: number } => ({
  idleMsMax: Math.ceil(times.renewMs / 3),
});

/** As the API server wants it: with six digits of a second. */
const microTime = (clock: Clock): string => isoTime(clock.wallMs()).replace("Z", "000Z");

const addressFrom = (stored: Stored | null): LeaderAddress | null => {
  const info = stored?.metadata.annotations[infoAnnotation] ?? "";
  const http = stored?.metadata.annotations[httpAnnotation] ?? "";
  return info === "" ? null : { info, http };
};
