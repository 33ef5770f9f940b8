import test from "ava";
import { announcedOf } from "../../operator/info/publish.ts";
import { brokenRules, type Fields } from "../../operator/rules.ts";
import { clusterFrom, closed, specSchema } from "../../operator/schema.ts";

const object = (spec: Fields, name = "demo"): Fields => ({
  metadata: { name, namespace: "n", uid: "u", generation: 4 },
  spec: {
    writers: 3,
    readers: 3,
    reads: { lagMsMax: 2000 },
    storage: { ephemeral: false, whenDeleted: "Retain" },
    template: {},
    ...spec,
  },
});
const broken = (now: Fields, old?: Fields): string[] =>
  brokenRules(now, old).map(({ path, message }) => `${path.join(".")}: ${message.slice(0, 40)}`);

test("an object as the API server defaults it breaks no rule and is read whole", (t) => {
  t.deepEqual(broken(object({})), []);
  const { spec, ...rest } = clusterFrom(object({}));
  t.deepEqual(rest, { namespace: "n", name: "demo", uid: "u", generation: 4, force: null });
  t.deepEqual(spec.storage, { ephemeral: false, size: "1Gi", storageClassName: "", whenDeleted: "Retain" });
  t.is(spec.image, "");
  t.is(spec.template.affinity, null);
});

test("ephemeral storage has neither size nor class", (t) => {
  t.deepEqual(broken(object({ storage: { ephemeral: true, size: "1Gi" } })), [
    "spec.storage: ephemeral storage has no size and no sto",
  ]);
  t.deepEqual(broken(object({ storage: { ephemeral: true } })), []);
  t.deepEqual(clusterFrom(object({ storage: { ephemeral: true } })).spec.storage, { ephemeral: true });
});

test("a size is a quantity above zero", (t) => {
  for (const size of ["1Gi", "500M", "1.5Ti", "1000000000"]) {
    t.deepEqual(broken(object({ storage: { size } })), [], size);
  }
  for (const size of ["0", "large", "-1Gi", "1 Gi", "1gi", ""])
    t.is(broken(object({ storage: { size } })).length, 1, size);
});

test("memory.max is a quantity of at least 16Mi", (t) => {
  for (const max of ["16Mi", "1Gi", "512M", "1.5Gi", "20000000"])
    t.deepEqual(broken(object({ memory: { max } })), [], max);
  for (const max of ["1Mi", "lots", "-1Gi", "0", "16mi", "1000m"])
    t.deepEqual(broken(object({ memory: { max } })), [
      "spec.memory: max must be a quantity of at least 16Mi,",
    ]);
});

test("with acks: inSync every shard has at least minInSync readers", (t) => {
  const durability = { acks: "inSync", minInSync: 2 };
  t.deepEqual(broken(object({ durability, readers: 6 })), []);
  t.deepEqual(broken(object({ durability, readers: 5 })), ["spec: with durability.acks: inSync, readers mu"]);
  t.deepEqual(broken(object({ durability: { acks: "owner", minInSync: 2 }, readers: 0 })), []);
});

test("rebalance.bytesPerSecondMax is a quantity of at least 64Ki", (t) => {
  for (const bytesPerSecondMax of ["64Ki", "50Mi", "1M"])
    t.deepEqual(broken(object({ rebalance: { bytesPerSecondMax } })), [], bytesPerSecondMax);
  for (const bytesPerSecondMax of ["1Ki", "fast", "0", "-1Mi"])
    t.deepEqual(broken(object({ rebalance: { bytesPerSecondMax } })), [
      "spec.rebalance: bytesPerSecondMax must be a quantity of ",
    ]);
});

test("durability, failover, rebalance and memory have defaults in objects that were stored without them, and may be changed", (t) => {
  const { durability, failover, rebalance, memory } = clusterFrom(object({})).spec;
  t.deepEqual(
    { durability, failover, rebalance, memory },
    {
      durability: { fsync: "everysec", acks: "owner", minInSync: 0 },
      failover: { leaseSeconds: 2, automatic: true },
      rebalance: { paused: false, bytesPerSecondMax: "" },
      memory: { max: "", eviction: "noeviction" },
    },
  );
  const changed = object({
    durability: { fsync: "always", acks: "inSync", minInSync: 1 },
    failover: { leaseSeconds: 5 },
    rebalance: { bytesPerSecondMax: "50Mi" },
    memory: { max: "1Gi", eviction: "allkeys-lru" },
  });
  t.deepEqual(broken(changed, object({})), []);
  t.deepEqual(announcedOf(clusterFrom(changed).spec), {
    lagMsMax: 2000,
    settings: {
      ...{ fsync: "always", memoryMaxBytes: 2 ** 30, eviction: "allkeys-lru" },
      ...{ acks: "inSync", minInSync: 1, leaseMs: 5_000, moveBytesPerSecondMax: 50 * 2 ** 20 },
    },
  });
});

test("storage stays as it was made, but for whenDeleted; saying the default is no change", (t) => {
  const old = object({});
  t.deepEqual(broken(object({ storage: { size: "1Gi", whenDeleted: "Delete" } }), old), []);
  for (const storage of [{ size: "2Gi" }, { storageClassName: "fast" }, { ephemeral: true }]) {
    t.deepEqual(broken(object({ storage }), old), ["spec.storage: storage cannot be changed once the clust"]);
  }
});

test("labels and annotations of the operator are not the user's", (t) => {
  const names = ["app.kubernetes.io/name", "edis.dev/x"];
  for (const name of names) t.is(broken(object({ template: { labels: { [name]: "x" } } })).length, 1, name);
  t.is(broken(object({ template: { annotations: { "edis.dev/x": "" } } })).length, 1);
  t.is(broken(object({ template: { labels: { team: "a b" } } })).length, 1);
  t.deepEqual(
    broken(object({ template: { labels: { team: "a.b" }, annotations: { note: "any text" } } })),
    [],
  );
});

test("a name is what Services and pods can be named after", (t) => {
  for (const name of ["demo", "a", "a-1", "a".repeat(40)]) t.deepEqual(broken(object({}, name)), [], name);
  for (const name of ["1a", "a-", "A", "a.b", "a".repeat(41), "demo-read", "x-write", "x-pods"]) {
    t.is(broken(object({}, name)).length, 1, name);
  }
});

test("what is no ShardCluster is refused with the place", (t) => {
  t.throws(() => clusterFrom(object({ writers: "3" })), { message: /spec\.writers/ });
  t.throws(() => clusterFrom(null), { message: /Cannot read a ShardCluster/ });
});

test("the closed schema knows no other field, the passed-on parts stay open", (t) => {
  const spec = closed(specSchema) as { additionalProperties: unknown; properties: Record<string, Fields> };
  t.is(spec.additionalProperties, false);
  const template = spec.properties["template"]?.["properties"] as Record<string, Fields>;
  t.is(spec.properties["template"]?.["additionalProperties"], false);
  t.is(template["affinity"]?.["additionalProperties"], undefined);
  t.is((template["tolerations"]?.["items"] as Fields)["additionalProperties"], false);
});
