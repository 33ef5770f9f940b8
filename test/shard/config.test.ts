import test from "ava";
import { EdisError } from "../../core/errors.ts";
import { readConfig, type Environment } from "../../shard/config.ts";

const env = {
  EDIS_ROLE: "writer",
  EDIS_POD: "demo-write-0",
  EDIS_CLUSTER_ID: "uid",
  EDIS_CLUSTER: "default/demo",
  EDIS_INFO: "ws://info-0:7378, wss://info-1:7378",
  EDIS_TOKEN_FILE: "/token",
  EDIS_ADVERTISE_HOST: "10.0.0.1",
};
const token = new Uint8Array([1, 2, 3, 10]);
const read = (change: Environment, content: Uint8Array = token) =>
  readConfig({ ...env, ...change }, () => content);

test("a config holds what the environment says, and defaults for the rest", (t) => {
  t.deepEqual(read({}), {
    ...{ home: "writer", pod: "demo-write-0", podUid: "", clusterId: "uid", cluster: "default/demo" },
    info: ["ws://info-0:7378", "wss://info-1:7378"],
    token,
    ...{ host: "0.0.0.0", advertiseHost: "10.0.0.1" },
    ports: { client: 7379, replication: 7380, http: 8080, resp: 6379 },
    ...{ node: "", zone: "", logLevel: "info", ownContainer: false, data: "/data", drainMs: 1_000 },
    handoverMs: 10_000,
  });
  t.is(read({ EDIS_CLIENT_PORT: "0" }).ports.client, 0);
});

const wrong: readonly (readonly [Environment, RegExp])[] = [
  [{ EDIS_ROLE: "master" }, /EDIS_ROLE: it is "master", wanted is one of writer, reader/],
  [{ EDIS_POD: "" }, /EDIS_POD: it is not set/],
  [{ EDIS_CLUSTER: "demo" }, /EDIS_CLUSTER: it is "demo", wanted is namespace\/name/],
  [{ EDIS_INFO: "ws://a:1,http://b" }, /EDIS_INFO: it holds "http:\/\/b"/],
  [{ EDIS_HTTP_PORT: "65536" }, /EDIS_HTTP_PORT: it is "65536", wanted is an integer from 0 to 65535/],
  [{ EDIS_CLIENT_PORT: "1e3" }, /EDIS_CLIENT_PORT/],
  [{ EDIS_ADVERTISE_HOST: undefined }, /EDIS_ADVERTISE_HOST: others cannot reach 0\.0\.0\.0/],
  [{ EDIS_DRAIN_MS: "9000" }, /EDIS_DRAIN_MS/],
  [{ EDIS_LOG_LEVEL: "loud" }, /EDIS_LOG_LEVEL/],
];
for (const [change, message] of wrong) {
  test(`${JSON.stringify(change)} is refused with what is wanted`, (t) => {
    const error = t.throws(() => read(change), { instanceOf: EdisError, message });
    t.is(error.code, "bad-argument");
  });
}

test("a token that is empty or cannot be read is refused", (t) => {
  t.throws(() => read({}, new Uint8Array()), { message: /EDIS_TOKEN_FILE: \/token is empty/ });
  t.throws(() => readConfig({ ...env, EDIS_TOKEN_FILE: "/nowhere/token" }), {
    message: /cannot be read: ENOENT/,
  });
});
