import test from "ava";
import { revision, term } from "../../../core/ids.ts";
import type { MemberState, Topology } from "../../../core/topology.ts";
import { topologyOf } from "../../../operator/info/publish.ts";
import type { Ownership, Session } from "../../../operator/plan/model.ts";
import { plan } from "../../../operator/plan/plan.ts";
import { clusterOf, observedOf, owning, reading, sessionOf } from "../../support/planWorld.ts";
import { usualSettings } from "../../../core/settings.ts";

const owner = sessionOf("demo-write-0", { serving: owning(0, 1), version: 5 });
const ownershipOf = (): Ownership => {
  const start = plan(observedOf(clusterOf(1, 2))).ownership;
  const sessions = ["demo-write-0", "demo-read-0", "demo-read-1"].map((pod) => sessionOf(pod));
  return plan(observedOf(clusterOf(1, 2), { ownership: start, sessions })).ownership;
};
const view = {
  ...{ clusterId: "uid-1", cluster: "default/demo", lagMsMax: 2_000 },
  ...{ settings: usualSettings, ownership: ownershipOf() },
};
const publish = (sessions: readonly Session[], before: Topology | null = null): Topology =>
  topologyOf(view, sessions, { before, term: term(1), revision: revision(1) });
const stateOf = (topology: Topology, pod: string): MemberState | undefined =>
  topology.members.find((member) => member.pod === pod)?.state;

test("an owner serves once it says that it owns its shard in the epoch that was given", (t) => {
  t.is(stateOf(publish([owner]), "demo-write-0"), "serving");
  t.is(stateOf(publish([sessionOf("demo-write-0", { serving: owning(0, 0) })]), "demo-write-0"), "starting");
  t.is(stateOf(publish([sessionOf("demo-write-0")]), "demo-write-0"), "starting");
  const other = sessionOf("demo-write-0", { incarnation: "second", serving: owning(0, 1) });
  t.is(stateOf(publish([other]), "demo-write-0"), "starting");
  t.is(publish([other]).members[0]?.shard as number, 0);
  const leaving = sessionOf("demo-write-0", { serving: owning(0, 1), leaving: true });
  t.is(stateOf(publish([leaving]), "demo-write-0"), "serving", "until it has handed over");
});

test("a reader serves while it streams the shard it is assigned to", (t) => {
  const at = (serving: ReturnType<typeof reading>): MemberState | undefined =>
    stateOf(publish([owner, sessionOf("demo-read-0", { serving })]), "demo-read-0");
  t.is(at(reading(0, "streaming")), "serving");
  t.is(at(reading(0, "copying")), "copying");
  t.is(at(reading(0, "connecting")), "starting");
  t.is(at(reading(1, "streaming")), "starting", "another shard's data");
});

test("a reader leaves the rotation when its lag passes the bound, and comes back when it is half of it", (t) => {
  const lagging = (ms: number): Session => sessionOf("demo-read-0", { serving: reading(0, "streaming", ms) });
  let topology = publish([owner, lagging(0)]);
  const states = [1_500, 2_000, 2_001, 1_500, 1_001, 1_000, 1_900].map((ms) => {
    topology = publish([owner, lagging(ms)], topology);
    return stateOf(topology, "demo-read-0");
  });
  t.deepEqual(states, ["serving", "serving", "copying", "copying", "copying", "serving", "serving"]);
});

test("while its owner is away a reader that served goes on serving, however long it has heard nothing", (t) => {
  const cut = sessionOf("demo-read-0", { serving: reading(0, "connecting", 60_000), version: 5 });
  const served = publish([owner, sessionOf("demo-read-0", { serving: reading(0, "streaming"), version: 5 })]);
  t.is(stateOf(publish([cut], served), "demo-read-0"), "serving");
  t.is(
    stateOf(publish([owner, cut], served), "demo-read-0"),
    "copying",
    "but not beside an owner that serves",
  );
  const restarted = { ...cut, incarnation: "second" };
  t.is(
    stateOf(publish([restarted], served), "demo-read-0"),
    "starting",
    "another process has served nothing",
  );
});
