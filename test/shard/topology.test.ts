import test from "ava";
import { revision, term } from "../../core/ids.ts";
import { createLogger } from "../../core/logger.ts";
import { difference, type Topology } from "../../core/topology.ts";
import { createTopologyKeeper } from "../../shard/topology.ts";
import { usualSettings } from "../../core/settings.ts";
import { topologyFields } from "../support/fields.ts";

const topology = (t: number, r: number, clusterId = "c"): Topology => ({
  ...{ clusterId, cluster: "n/c", term: term(t), revision: revision(r), ...topologyFields },
  ...{ settings: usualSettings, lagMsMax: r + 100 * t, shards: [], members: [] },
});
const keeper = () => {
  const taken: string[] = [];
  const kept = createTopologyKeeper({
    clusterId: "c",
    logger: createLogger("silent", {}),
    changed: (_before, { topology: after }) => taken.push(`${after.term}.${after.revision}`),
  });
  return { ...kept, taken };
};

test("a newer topology is taken, an older or equal or foreign one is not", (t) => {
  const { offer, taken } = keeper();
  offer(topology(2, 5));
  offer(topology(2, 5));
  offer(topology(2, 4));
  offer(topology(1, 9));
  offer(topology(3, 1, "another"));
  offer(topology(3, 0));
  t.deepEqual(taken, ["2.5", "3.0"]);
});

test("a change is taken where it fits; where it does not, a snapshot is wanted", (t) => {
  const { offer, offerChange, current, taken } = keeper();
  const step = (from: number, to: number) => difference(topology(1, from), topology(1, to));
  t.false(offerChange(step(1, 2)), "there is nothing to change yet");
  offer(topology(1, 2));
  t.true(offerChange(step(2, 3)));
  t.is(current()?.topology.lagMsMax, 103);
  t.true(offerChange(step(1, 2)), "known already");
  t.false(offerChange(step(4, 5)), "one is missing");
  t.deepEqual(taken, ["1.2", "1.3"]);
});
