import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { Fsync } from "../../core/settings.ts";
import { connectToShard, get, set, textOf } from "../support/shardClient.ts";
import { shardOwnedBy, startTestInfo } from "../support/shardInfo.ts";
import { addressOf, writerPodName } from "../support/shardPair.ts";
import { startShardProcess } from "../support/shardProcess.ts";
import { until } from "../support/shardUntil.ts";

// A real owner whose disk breaks: what a sync that failed was for may be lost, and no later sync says so.

const preload = new URL("../support/failingSync.ts", import.meta.url).href;

for (const fsync of ["always", "everysec"] satisfies Fsync[])
  test.serial(
    `an owner whose sync fails ends, and what it acknowledged before is there: ${fsync}`,
    async (t) => {
      const folder = mkdtempSync(join(tmpdir(), "edis-sync-"));
      const info = await startTestInfo();
      const common = {
        role: "writer",
        pod: writerPodName,
        info: info.url,
        env: { EDIS_DATA: folder },
      } as const;
      const broken = startShardProcess({ ...common, nodeArguments: ["--import", preload] });
      t.teardown(async () => {
        await broken.kill();
        await info.close();
        rmSync(folder, { recursive: true });
      });
      info.tell({ fsync });
      const lost = await info.registered(writerPodName);
      info.publish([shardOwnedBy(lost)]);
      await info.reported(writerPodName, ({ serving }) => serving.kind === "owner");
      const client = await connectToShard(addressOf(info, writerPodName));
      for (let n = 0; n < 200; n++) t.is((await client.ask([set(`key:${n}`, String(n))]))[0]?.kind, "set");

      broken.signal("SIGUSR2");
      await until("the disk is broken", () => broken.log().includes("the disk is broken"));
      const last = client.ask([set("after", "?")]);
      // Every second, the second before a sync is the promise.
      if (fsync === "always") await t.throwsAsync(last, { message: "connection closed" });
      else t.is((await last)[0]?.kind, "set");
      t.is(await broken.ended, 1);
      t.regex(
        broken.log(),
        /"level":"error".*a sync of it failed: EIO.*"disk-failed".*the volume cannot be relied on: ending/,
      );
      await until("its connections are gone", () => !client.isOpen());

      const owner = startShardProcess(common);
      t.teardown(() => owner.kill());
      info.publish([shardOwnedBy(await info.registered(writerPodName, lost.incarnation), { at: 2 })]);
      await info.reported(writerPodName, ({ serving }) => serving.kind === "owner" && serving.epoch === 2);
      const again = await connectToShard(addressOf(info, writerPodName));
      for (let n = 0; n < 200; n++)
        t.is(textOf((await again.ask([get(`key:${n}`)], { epoch: 2 }))[0]), String(n));
    },
  );
