/** Writes to a log on a real disk until it is killed; says on standard output what is durable. Usage: logChild <folder> <mode> */
import { openRig, set } from "./shardLog.ts";
import { systemDisk } from "../../shard/log/disk.ts";

const [folder = "", mode = "always"] = process.argv.slice(2);
if (mode !== "always" && mode !== "everysec" && mode !== "never") throw new Error(`No such mode: ${mode}`);
const rig = await openRig({
  ...{ disk: systemDisk, mode, folder },
  limits: { segmentBytes: 20_000, snapshotEveryBytes: 30_000, syncEveryMs: 10 },
});
let said = 0;
for (;;) {
  for (let i = 0; i < 20; i++)
    rig.write(set(`key ${rig.holding.version % 100}`, `${rig.holding.version + 1}`));
  await new Promise((resolve) => setImmediate(resolve));
  if (rig.told.durable > said) {
    said = rig.told.durable;
    process.stdout.write(`${said}\n`);
  }
}
