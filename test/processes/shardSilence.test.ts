import test from "ava";
import { shardOwnedBy, startTestInfo } from "../support/shardInfo.ts";
import { startShardProcess } from "../support/shardProcess.ts";
import { startProxy } from "../support/shardProxy.ts";

test("a shard whose info has gone without a word finds another one", async (t) => {
  const [gone, next] = [await startTestInfo(), await startTestInfo()];
  const link = await startProxy(gone.port);
  const writer = startShardProcess({
    ...{ role: "writer", pod: "demo-write-0" },
    info: `ws://127.0.0.1:${link.port},${next.url}`,
  });
  t.teardown(async () => {
    await Promise.all([writer.kill(), link.close(), gone.close(), next.close()]);
  });
  const { incarnation } = await gone.registered("demo-write-0");
  link.stall();
  const owner = await next.registered("demo-write-0");
  t.is(owner.incarnation, incarnation);
  next.publish([shardOwnedBy(owner)]);
  await next.reported("demo-write-0", ({ serving }) => serving.kind === "owner");
});
