import test from "ava";
import fc from "fast-check";
import { epoch, revision, shardId, slot, slotCount, term } from "../../core/ids.ts";
import {
  indexTopology,
  ownerOf,
  shardOf,
  type Home,
  type Member,
  type MemberState,
  type Shard,
  type Topology,
} from "../../core/topology.ts";
import { route, type View } from "../../client/router.ts";
import { usualSettings } from "../../core/settings.ts";
import { shardFields, topologyFields } from "../support/fields.ts";

const member = (pod: string, home: Home, shard: number): Member => ({
  pod,
  incarnation: "a",
  home,
  shard: shardId(shard),
  state: "serving",
  address: { host: "127.0.0.1", client: 1, replication: 2, http: 3, resp: 4 },
  node: "",
  zone: "",
});

const states: readonly MemberState[] = ["starting", "copying", "serving", "leaving"];

/** `shards` shards that share the slots evenly; owners may be away; readers in any state. */
const topologies = fc
  .record({
    owners: fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }),
    readers: fc.array(fc.tuple(fc.nat(3), fc.constantFrom(...states)), { maxLength: 12 }),
  })
  .map(({ owners, readers }): Topology => {
    const width = slotCount / owners.length;
    return {
      clusterId: "uid",
      cluster: "default/demo",
      term: term(1),
      revision: revision(1),
      ...topologyFields,
      lagMsMax: 1000,
      settings: usualSettings,
      shards: owners.map((_, id): Shard => ({
        id: shardId(id),
        epoch: epoch(1),
        owner: { pod: `w${id}`, incarnation: "a" },
        ...shardFields,
        slots: [[slot(Math.floor(id * width)), slot(Math.floor((id + 1) * width) - 1)]],
      })),
      members: [
        ...owners.flatMap((up, id) => (up ? [member(`w${id}`, "writer", id)] : [])),
        ...readers.map(([shard, state], i) => ({
          ...member(`r${i}`, "reader", shard % owners.length),
          state,
        })),
      ],
    };
  });

const everyone = (topology: Topology): View => ({
  index: indexTopology(topology),
  inUse: () => true,
  isLeaving: () => false,
  turn: () => 0,
});

test("a write goes to the owner of its slot, or waits where there is none", (t) => {
  fc.assert(
    fc.property(topologies, fc.nat(slotCount - 1), (topology, n) => {
      const view = everyone(topology);
      const next = route(view, { slot: slot(n), ownerOnly: true, tried: [] });
      const shard = shardOf(view.index, slot(n));
      const owner = shard === undefined ? undefined : ownerOf(view.index, shard.id);
      t.deepEqual(next.kind === "send" ? next.member : undefined, owner);
    }),
  );
  t.pass();
});

test("a read goes to a serving reader of its shard that is in use and was not tried, else to the owner", (t) => {
  fc.assert(
    fc.property(
      topologies,
      fc.nat(slotCount - 1),
      fc.tuple(fc.subarray(["r0", "r1", "r2", "r3"]), fc.nat()),
      (...drawn) => {
        const [topology, n, [tried, turn]] = drawn;
        const view = { ...everyone(topology), turn: () => turn, inUse: ({ pod }: Member) => pod !== "r4" };
        const next = route(view, { slot: slot(n), ownerOnly: false, tried });
        const shard = shardOf(view.index, slot(n));
        const candidates = topology.members.filter(
          ({ pod, home, state, shard: of }) =>
            home === "reader" &&
            state === "serving" &&
            of === shard?.id &&
            pod !== "r4" &&
            !tried.includes(pod),
        );
        if (candidates.length > 0) {
          t.true(next.kind === "send" && candidates.includes(next.member));
        } else {
          const owner = shard === undefined ? undefined : ownerOf(view.index, shard.id);
          t.is(next.kind === "send" ? next.member : undefined, owner);
        }
      },
    ),
  );
});

test("reads take turns: over n readers each is asked once in n reads", (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), fc.nat(100), (readers, start) => {
      const [base] = fc.sample(topologies, { numRuns: 1, seed: 1 });
      if (base === undefined) return;
      const view = everyone({
        ...base,
        members: Array.from({ length: readers }, (_, i) => member(`r${i}`, "reader", 0)),
      });
      let turn = start;
      const asked = Array.from({ length: readers }, () => {
        const next = route({ ...view, turn: () => turn++ }, { slot: slot(0), ownerOnly: false, tried: [] });
        return next.kind === "send" ? next.member.pod : "nobody";
      });
      t.is(new Set(asked).size, readers);
      t.false(asked.includes("nobody"));
    }),
  );
});

test("an owner that was tried or ends is waited for", (t) => {
  const [topology] = fc.sample(
    topologies.map((drawn) => ({ ...drawn, members: [member("w0", "writer", 0)] })),
    { numRuns: 1, seed: 2 },
  );
  if (topology === undefined) throw new Error("no topology drawn");
  const journey = { slot: slot(0), ownerOnly: false, tried: ["w0"] };
  const tried = route(everyone(topology), journey);
  t.is(tried.kind === "wait" ? tried.code : "sent", "not-serving");
  const ending = route({ ...everyone(topology), isLeaving: () => true }, { ...journey, tried: [] });
  t.is(ending.kind === "wait" ? ending.code : "sent", "shutting-down");
});
