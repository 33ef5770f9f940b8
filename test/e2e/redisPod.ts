import * as v from "valibot";
import { expect, field, kubectl, until } from "./kube.ts";
import { startProgram } from "./programPod.ts";

const report = v.object({
  clients: v.array(
    v.object({
      name: v.string(),
      keys: v.number(),
      wrong: v.number(),
      byReaders: v.number(),
      byWriters: v.number(),
      tagged: v.array(v.nullable(v.string())),
      transacted: v.array(v.unknown()),
      goneAfterMs: v.number(),
      tookMs: v.number(),
    }),
  ),
  moved: v.object({ refused: v.string(), followed: v.array(v.string()) }),
});

/** Runs the Redis clients (redis.ts) in a pod; rejects where they were not answered as Redis Cluster answers. */
export const redisClients = async (namespace: string, image: string): Promise<string> => {
  const in_ = ["-n", namespace];
  const environment = { REDIS_HOST: `demo.${namespace}` };
  await startProgram({ namespace, image, name: "redis", environment });
  await until("the Redis clients are done", 120_000, async () => {
    const phase = await field("{.status.phase}", ...in_, "pod", "redis");
    return phase === "Succeeded" || phase === "Failed" ? undefined : `the pod is ${phase}`;
  });
  const said = await kubectl(...in_, "logs", "redis");
  const line = said.split("\n").find((text) => text.startsWith("{"));
  expect(line !== undefined, `the Redis clients failed: ${said.slice(-1_000)}`);
  const { clients, moved } = v.parse(report, JSON.parse(line ?? ""));
  expect(clients.length === 2, `${clients.length} clients reported`);
  for (const client of clients) {
    const { name, keys, wrong, byReaders, byWriters, tagged, transacted, goneAfterMs } = client;
    expect(wrong === 0, `${name}: ${wrong} of ${keys} keys are read wrongly`);
    expect(tagged.join() === "0,1,2,3,4,5,6,7,8,9", `${name}: MGET says ${tagged.join()}`);
    expect(transacted.join() === "OK,2", `${name}: the transaction says ${transacted.join()}`);
    expect(goneAfterMs >= 1_500, `${name}: the key was gone after ${goneAfterMs} ms`);
    // node-redis takes the nodes of a slot in turn, its owner among them.
    const share = name === "ioredis" ? 1 : 0.4;
    expect(byReaders >= keys * share, `${name}: readers were asked ${byReaders} times for ${keys} keys`);
    expect(
      byWriters <= keys * (1.1 - share),
      `${name}: writers were asked ${byWriters} times for ${keys} keys`,
    );
  }
  expect(/^-MOVED \d+ /.test(moved.refused), `without a client: ${moved.refused}`);
  expect(moved.followed.join("") === "+OK\r\n$8\r\nfollowed\r\n", `after MOVED: ${moved.followed.join("")}`);
  await kubectl(...in_, "delete", "pod/redis", "configmap/redis");
  const figures = clients.map(
    ({ name, keys, byReaders, byWriters, tookMs }) =>
      `${name}: ${keys} keys in ${tookMs} ms, reads answered by readers ${byReaders}, by writers ${byWriters}`,
  );
  return `${figures.join("; ")}; ${moved.refused}`;
};
