import test from "ava";
import { systemClock } from "../../../core/clock.ts";
import { epoch, mapVersion, shardId, slot, version } from "../../../core/ids.ts";
import type { Phase, Shard } from "../../../core/topology.ts";
import { createGrants } from "../../../operator/info/grants.ts";
import type { Session } from "../../../operator/plan/model.ts";
import { owningFields, registerFields, reportFields, shardFields } from "../../support/fields.ts";

const owner = { pod: "demo-write-0", incarnation: "a" };
const shardIn = (phase: Phase = { kind: "stable" }, at = 3): Shard => ({
  ...{ id: shardId(0), owner, ...shardFields, slots: [[slot(0), slot(16383)]] },
  ...{ epoch: epoch(at), phase, mapVersion: mapVersion(1) },
});
const asks = ({ incarnation = "a", at = 3 } = {}): Session => ({
  ...{ pod: owner.pod, incarnation, ageMs: 0, silentMs: 0, slotSizes: null },
  registered: {
    ...{ home: "writer", node: "", zone: "", ...registerFields },
    address: { host: "h", client: 1, replication: 2, http: 3, resp: 4 },
  },
  report: {
    ...{
      pod: owner.pod,
      incarnation,
      home: "writer",
      leaving: false,
      version: version(1),
      keys: 0,
      bytes: 0,
    },
    ...{ readers: [], ...reportFields, held: null },
    serving: { ...owningFields, shard: shardId(0), epoch: epoch(at) },
  },
});

test("info grants to the owner's own process, in its epoch, and to nobody in whose place another is looked for", (t) => {
  const { publish, answer } = createGrants(systemClock, () => true);
  publish([shardIn()]);
  t.not(answer(asks()), null);
  t.is(answer(asks({ incarnation: "b" })), null);
  t.is(answer(asks({ at: 2 })), null);
  publish([shardIn({ kind: "fencing", epoch: epoch(4) })]);
  t.is(answer(asks()), null);
});

test("what a write is about to end is granted nothing until it is known what became of the write", (t) => {
  const { publish, hold, answer } = createGrants(systemClock, () => true);
  publish([shardIn()]);
  hold([shardId(0)]);
  t.is(answer(asks()), null);
  publish([shardIn()]);
  t.not(answer(asks()), null);
});

test("an operator that does not lead any more grants nothing", (t) => {
  let leads = true;
  const { publish, answer } = createGrants(systemClock, () => leads);
  publish([shardIn()]);
  t.not(answer(asks()), null);
  leads = false;
  t.is(answer(asks()), null);
});
