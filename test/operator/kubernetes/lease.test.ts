import test from "ava";
import { systemClock } from "../../../core/clock.ts";
import { createLogger } from "../../../core/logger.ts";
import type { Api } from "../../../operator/kubernetes/api.ts";
import { acquireLease, type LeaderAddress, type Leadership } from "../../../operator/kubernetes/lease.ts";
import { answer, eventually, serve, type TestServer } from "./apiServer.ts";

const times = { durationMs: 1_000, renewMs: 600, retryMs: 50 };

type Stored = {
  metadata: { resourceVersion: string; annotations: Record<string, string> };
  spec: { holderIdentity: string; leaseTransitions: number; renewTime: string; leaseDurationSeconds: number };
};
type Store = TestServer & { lease: Stored | undefined; down: boolean };

/** One Lease with compare-and-set, as the API server keeps it. */
const store = async (): Promise<Store> => {
  const state: { lease: Stored | undefined; down: boolean; version: number } = {
    lease: undefined,
    down: false,
    version: 0,
  };
  const server = await serve((request, response, body) => {
    const sent = body as Stored | undefined;
    if (state.down) answer(response, 503, { message: "down" });
    else if (sent === undefined) {
      if (state.lease === undefined) answer(response, 404, { message: "not found" });
      else answer(response, 200, state.lease);
    } else if (
      (request.method === "POST") !== (state.lease === undefined) ||
      (state.lease !== undefined && sent.metadata.resourceVersion !== state.lease.metadata.resourceVersion)
    ) {
      answer(response, 409, { message: "conflict" });
    } else {
      state.lease = { ...sent, metadata: { ...sent.metadata, resourceVersion: String(++state.version) } };
      answer(response, 200, state.lease);
    }
  });
  return Object.assign(state, server);
};

type Candidate = {
  readonly leadership: Promise<Leadership>;
  readonly followed: (LeaderAddress | null)[];
  readonly stop: () => void;
};
const candidate = (api: Api, pod: string): Candidate => {
  const followed: (LeaderAddress | null)[] = [];
  const ending = new AbortController();
  const leadership = acquireLease(
    {
      ...{ api, pod, clock: systemClock, times },
      namespace: "n",
      name: "operator",
      address: { info: `ws://${pod}`, http: `http://${pod}` },
      logger: createLogger("silent", {}),
      follow: (leader) => followed.push(leader),
    },
    ending.signal,
  );
  leadership.catch(() => undefined);
  return {
    leadership,
    followed,
    stop: () => {
      ending.abort();
    },
  };
};

test("one leads, the other knows where", async (t) => {
  const server = await store();
  const first = await candidate(server.api, "one").leadership;
  const second = candidate(server.api, "two");
  await eventually("the second knows the first", () => second.followed.length > 2);
  t.deepEqual(second.followed[0], { info: "ws://one", http: "http://one" });
  t.is(server.lease?.spec.holderIdentity, "one");
  t.regex(server.lease?.spec.renewTime ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  t.false(first.lost.aborted);
  second.stop();
  await first.release();
  await server.close();
});

test("a lease that is given back is taken at once, in the next term", async (t) => {
  const server = await store();
  const first = await candidate(server.api, "one").leadership;
  const second = candidate(server.api, "two");
  await eventually("the second waits", () => second.followed.length > 0);
  const startMs = performance.now();
  await first.release();
  const next = await second.leadership;
  t.true(performance.now() - startMs < 500);
  t.is(Number(next.term), first.term + 1);
  t.false(first.lost.aborted);
  await next.release();
  await server.close();
});

test("a holder that says nothing any more is replaced once its time is over, and not before", async (t) => {
  const server = await store();
  server.lease = {
    metadata: { resourceVersion: "x", annotations: {} },
    spec: { holderIdentity: "gone", leaseTransitions: 7, renewTime: "", leaseDurationSeconds: 1 },
  };
  const startMs = performance.now();
  const next = await candidate(server.api, "two").leadership;
  const tookMs = performance.now() - startMs;
  t.true(tookMs >= 1_000 && tookMs < 2_000, `${tookMs} ms`);
  t.is(Number(next.term), 8);
  await next.release();
  await server.close();
});

test("a leader that cannot renew stops before another may begin", async (t) => {
  const server = await store();
  const first = await candidate(server.api, "one").leadership;
  server.down = true;
  const startMs = performance.now();
  await eventually("leadership is lost", () => first.lost.aborted);
  t.true(performance.now() - startMs < times.durationMs);
  await first.release();
  await server.close();
});

test("a short outage of the API server costs no leadership", async (t) => {
  const server = await store();
  const first = await candidate(server.api, "one").leadership;
  server.down = true;
  await new Promise((resolve) => setTimeout(resolve, 300));
  server.down = false;
  await new Promise((resolve) => setTimeout(resolve, 700));
  t.false(first.lost.aborted);
  await first.release();
  await server.close();
});

test("a leader whose lease somebody else took stops at once", async (t) => {
  const server = await store();
  const first = await candidate(server.api, "one").leadership;
  const { lease } = server;
  if (lease === undefined) throw new Error("no lease");
  server.lease = {
    metadata: { ...lease.metadata, resourceVersion: "taken" },
    spec: { ...lease.spec, holderIdentity: "two", leaseTransitions: lease.spec.leaseTransitions + 1 },
  };
  await eventually("leadership is lost", () => first.lost.aborted);
  t.is(server.lease.spec.holderIdentity, "two");
  await first.release();
  t.is(server.lease.spec.holderIdentity, "two");
  await server.close();
});

test("a container that starts anew in the same pod takes its lease up at once, in a new term", async (t) => {
  const server = await store();
  const first = await candidate(server.api, "one").leadership;
  const again = await candidate(server.api, "one").leadership;
  t.is(Number(again.term), first.term + 1);
  await eventually("the process before is out", () => first.lost.aborted);
  await again.release();
  await server.close();
});

test("terms never come back, even where the lease was deleted", async (t) => {
  const server = await store();
  const first = await candidate(server.api, "one").leadership;
  await first.release();
  server.lease = undefined;
  const second = await candidate(server.api, "two").leadership;
  t.true(second.term >= first.term);
  await second.release();
  await server.close();
});

test("waiting for the lease ends with the signal", async (t) => {
  const server = await store();
  const first = await candidate(server.api, "one").leadership;
  const second = candidate(server.api, "two");
  await eventually("the second waits", () => second.followed.length > 0);
  second.stop();
  await t.throwsAsync(second.leadership);
  await first.release();
  await server.close();
});
