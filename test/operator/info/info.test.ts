import anyTest, { type ExecutionContext, type TestFn } from "ava";
import { systemClock } from "../../../core/clock.ts";
import { term } from "../../../core/ids.ts";
import {
  decodeMessage,
  encodeMessage,
  toClientSchema,
  toShardSchema,
  type Report,
  type Role,
  type ToClient,
} from "../../../core/message.ts";
import { patched, type Topology } from "../../../core/topology.ts";
import { systemNetwork } from "../../../net/network.ts";
import { startInfo, type Info } from "../../../operator/info/info.ts";
import { plan } from "../../../operator/plan/plan.ts";
import type { Connection } from "../../../net/connection.ts";
import { dial } from "../../../net/dial.ts";
import { silent, until } from "../../support/net.ts";
import { clusterOf, observedOf, owning, sessionOf, type SessionFields } from "../../support/planWorld.ts";
import { usualSettings } from "../../../core/settings.ts";

type World = { info: Info; changes: string[]; ending: AbortController };
const test = anyTest as TestFn<World>;
const key = "default/demo";
const token = Buffer.from("the token of demo");

test.beforeEach(async (t) => {
  const info = await startInfo({
    self: { pod: "operator-0", incarnation: "o1" },
    ...{
      host: "127.0.0.1",
      infoPort: 0,
      httpPort: 0,
      network: systemNetwork,
      clock: systemClock,
      logger: silent,
    },
  });
  const changes: string[] = [];
  info.onChange((changed) => changes.push(changed));
  info.lead(term(4), () => true);
  info.open({ clusterId: "uid-1", cluster: key, token });
  t.context = { info, changes, ending: new AbortController() };
});
test.afterEach.always(async (t) => {
  t.context.ending.abort();
  await t.context.info.close();
});

type Dialed = {
  readonly connection: Connection;
  readonly heard: ToClient[];
  readonly isClosed: () => boolean;
};
type Who = {
  readonly role: Role;
  readonly pod?: string;
  readonly incarnation?: string;
  readonly cluster?: string;
  readonly token?: Uint8Array | null;
};

const reach = async ({ context }: ExecutionContext<World>, who: Who): Promise<Dialed> => {
  const { role, pod = "someone", incarnation = "first", cluster = "" } = who;
  const heard: ToClient[] = [];
  let closed = false;
  const connection = await dial({
    url: `ws://127.0.0.1:${context.info.infoPort}`,
    ...{ role, cluster, self: { pod, incarnation }, to: "", signal: context.ending.signal },
    token: who.token !== undefined ? who.token : role === "client" ? null : token,
    ...{ clock: systemClock, logger: silent },
    opened: () => ({
      message: (frame) => {
        const message = decodeMessage(role === "client" ? toClientSchema : toShardSchema, frame);
        if (message.kind !== "grant") heard.push(message);
      },
      closed: () => {
        closed = true;
      },
    }),
  });
  return { connection, heard, isClosed: () => closed };
};

/** A shard process that registers, and a way to let it report. */
const shard = async (
  t: ExecutionContext<World>,
  pod: string,
  incarnation = "first",
): Promise<Dialed & { readonly report: (fields?: SessionFields) => void }> => {
  const { registered } = sessionOf(pod);
  const role = registered.home;
  const dialed = await reach(t, { role, pod, incarnation, cluster: "uid-1" });
  dialed.connection.send(encodeMessage({ kind: "register", ...registered }));
  const report = (fields: SessionFields = {}): void => {
    const said: Report = sessionOf(pod, { ...fields, incarnation }).report;
    dialed.connection.send(encodeMessage({ kind: "report", report: said }));
  };
  report();
  await until(`${pod} is known`, () =>
    t.context.info
      .sessions(key)
      .some((session) => session.pod === pod && session.incarnation === incarnation),
  );
  return { ...dialed, report };
};

/** The topology that a watcher holds after all it has heard. */
const held = (heard: readonly ToClient[]): Topology | undefined =>
  heard.reduce<Topology | undefined>((before, message) => {
    if (message.kind === "topology") return message.topology;
    return message.kind === "change" && before !== undefined ? patched(before, message.change) : before;
  }, undefined);

const publish = ({ context: { info } }: ExecutionContext<World>): void => {
  const sessions = info.sessions(key);
  const start = plan(observedOf(clusterOf(1, 1), { sessions: [] })).ownership;
  info.publish(key, plan(observedOf(clusterOf(1, 1), { sessions, ownership: start })).ownership, {
    lagMsMax: 2_000,
    settings: usualSettings,
  });
};

test("who watches gets a snapshot, then each change, in order", async (t) => {
  const writer = await shard(t, "demo-write-0");
  const reader = await shard(t, "demo-read-0");
  const watcher = await reach(t, { role: "client" });
  watcher.connection.send(encodeMessage({ kind: "watch" }));
  publish(t);
  await until("the first topology comes", () => held(watcher.heard) !== undefined);
  t.is(Number(held(watcher.heard)?.term), 4);
  writer.report({ serving: owning(0, 1) });
  await until(
    "the owner serves",
    () => held(watcher.heard)?.members.some(({ state }) => state === "serving") === true,
  );
  reader.connection.cut();
  await until("the reader is gone", () => held(watcher.heard)?.members.length === 1);
  t.deepEqual(watcher.heard.map(({ kind }) => kind).filter((kind) => kind === "topology").length, 1);
  t.deepEqual(held(watcher.heard), t.context.info.topology(key) ?? undefined);
  await until("the shard heard the same", () => held(writer.heard)?.members.length === 1);
  t.deepEqual(held(writer.heard), held(watcher.heard));
});

test("a session that comes, does something else, or goes is a change; a heartbeat is none", async (t) => {
  const { changes, info } = t.context;
  const writer = await shard(t, "demo-write-0");
  t.deepEqual(changes, [key]);
  writer.report();
  writer.report({ version: 0 });
  writer.report({ serving: owning(0, 1) });
  await until("it is known to own", () => info.sessions(key)[0]?.report.serving.kind === "owner");
  t.is(changes.length, 2);
  writer.connection.cut();
  await until("it is gone", () => info.sessions(key).length === 0);
  t.is(changes.length, 3);
});

test("a process that says nothing for a second is gone, and back with its next heartbeat", async (t) => {
  const { info } = t.context;
  const writer = await shard(t, "demo-write-0");
  const startMs = systemClock.nowMs();
  await until("it is gone", () => info.sessions(key).length === 0, 10_000);
  t.true(systemClock.nowMs() - startMs > 800);
  writer.report();
  await until("it is back", () => info.sessions(key).length === 1);
  t.true((info.sessions(key)[0]?.ageMs ?? 0) > 900, "it is not younger for that");
});

test("a newer start of a pod takes the place of the older, which cannot come back", async (t) => {
  const old = await shard(t, "demo-write-0");
  await shard(t, "demo-write-0", "second");
  await until("the older is cut", old.isClosed);
  t.deepEqual(
    t.context.info.sessions(key).map(({ incarnation }) => incarnation),
    ["second"],
  );
  const again = reach(t, { role: "writer", pod: "demo-write-0", incarnation: "first", cluster: "uid-1" });
  t.like(await t.throwsAsync(again), { code: "wrong-pod" });
});

test("a peer without the cluster's token, or that is none of its pods, is refused", async (t) => {
  const refusal = async (who: Who): Promise<unknown> =>
    ((await t.throwsAsync(reach(t, { cluster: "uid-1", ...who }))) as unknown as { code: unknown }).code;
  t.is(await refusal({ role: "writer", pod: "demo-write-0", token: Buffer.from("a guess") }), "bad-token");
  t.is(await refusal({ role: "reader", pod: "demo-read-0", token: null }), "bad-token");
  t.is(await refusal({ role: "writer", pod: "demo-read-0" }), "wrong-pod");
  t.is(await refusal({ role: "writer", pod: "demo-write-1024" }), "wrong-pod");
  t.is(await refusal({ role: "writer", pod: "demo-write-01" }), "wrong-pod");
  t.is(await refusal({ role: "operator", pod: "x" }), "wrong-role");
  t.regex(await t.context.info.metrics.text(), /edis_info_refusals_total\{code="bad-token"\} 2/);
});

test("a process can only report for itself", async (t) => {
  const writer = await shard(t, "demo-write-0");
  const { report } = sessionOf("demo-write-1");
  writer.connection.send(encodeMessage({ kind: "report", report }));
  await until("it is cut off", writer.isClosed);
  t.is(t.context.info.sessions(key).length, 0);
});

test("a cluster is found by uid, by name, or by being the only one", async (t) => {
  const { info } = t.context;
  const codeOf = async (cluster: string): Promise<string> =>
    reach(t, { role: "client", cluster }).then(
      () => "found",
      (error: unknown) => (error as { code: string }).code,
    );
  t.deepEqual(await Promise.all(["", "uid-1", key].map(codeOf)), ["found", "found", "found"]);
  t.is(await codeOf("default/none"), "try-again", "a new leader may not have heard of it yet");
  info.open({ clusterId: "uid-2", cluster: "default/other", token });
  const error = await t.throwsAsync(reach(t, { role: "client" }));
  t.like(error, { code: "ambiguous-cluster" });
  t.regex(error.message, /default\/demo, default\/other/);
  info.remove("default/other");
  t.is(await codeOf(""), "found");
});

test("a cluster that is gone, or a leader that stands by, sends its peers away", async (t) => {
  const { info } = t.context;
  const writer = await shard(t, "demo-write-0");
  const watcher = await reach(t, { role: "client" });
  info.follow({ info: "ws://leader:7378", http: "http://leader:8080" });
  await until("all are sent away", () => writer.isClosed() && watcher.isClosed());
  t.is(watcher.heard.at(-1)?.kind, "failure");
  t.like(await t.throwsAsync(reach(t, { role: "client" })), {
    code: "not-leader",
    leader: "ws://leader:7378",
  });
  const page = await fetch(`http://127.0.0.1:${info.httpPort}/topology?cluster=${key}`, {
    redirect: "manual",
  });
  t.deepEqual(
    [page.status, page.headers.get("location")],
    [307, "http://leader:8080/topology?cluster=default%2Fdemo"],
  );
});
