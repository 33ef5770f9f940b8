import test from "ava";
import { connectToShard, get, session, set, textOf } from "../support/shardClient.ts";
import { shardOwnedBy, startTestInfo } from "../support/shardInfo.ts";
import { startShardProcess } from "../support/shardProcess.ts";

test("a write is visible at the reader", async (t) => {
  const info = await startTestInfo();
  const writer = startShardProcess({ role: "writer", pod: "demo-write-0", info: info.url });
  const reader = startShardProcess({ role: "reader", pod: "demo-read-0", info: info.url });
  t.teardown(async () => {
    await Promise.all([writer.kill(), reader.kill(), info.close()]);
  });
  const owner = await info.registered("demo-write-0");
  await info.registered("demo-read-0");
  info.publish([shardOwnedBy(owner)], { "demo-read-0": 0 });
  await info.reported("demo-write-0", ({ serving }) => serving.kind === "owner");
  await info.reported(
    "demo-read-0",
    ({ serving }) => serving.kind === "reader" && serving.state === "streaming",
  );

  const [atWriter, atReader] = await Promise.all(
    ["demo-write-0", "demo-read-0"].map((pod) => connectToShard(info.sessions.get(pod)!.register!.address)),
  );
  const [written] = await atWriter!.ask([set("a", "1")]);
  t.like(written, { kind: "set", applied: true, epoch: 1, version: 1 });
  const [read] = await atReader!.ask([get("a", session({ epoch: 1, version: 1 }))]);
  t.is(textOf(read), "1");
});
