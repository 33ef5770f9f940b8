import test from "ava";
import fc from "fast-check";
import { messageOf } from "../../../core/errors.ts";
import type { Version } from "../../../core/ids.ts";
import type { Fsync } from "../../../shard/log/log.ts";
import { randomFrom } from "../../support/hostile.ts";
import { createMemoryDisk } from "../../support/memoryDisk.ts";
import { until } from "../../support/net.ts";
import { contentsOf, del, openRig, set, type Rig } from "../../support/shardLog.ts";

type Step =
  | { readonly kind: "write"; readonly keys: readonly number[]; readonly size: number }
  | { readonly kind: "drop"; readonly key: number }
  | { readonly kind: "map" }
  | { readonly kind: "epoch" | "turn" | "settle" | "snapshot" | "close" | "kill" }
  | { readonly kind: "mode"; readonly mode: Fsync }
  /** Power is lost, and the process that starts after that is killed once it has done so many operations. */
  | { readonly kind: "powerLoss"; readonly seed: number; readonly operations: number };

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("write" as const),
      keys: fc.array(fc.nat(12), { minLength: 1, maxLength: 6 }),
      size: fc.nat(120),
    }),
  },
  { weight: 6, arbitrary: fc.constantFrom<Step>({ kind: "turn" }, { kind: "settle" }, { kind: "snapshot" }) },
  { weight: 2, arbitrary: fc.constantFrom<Step>({ kind: "close" }, { kind: "kill" }) },
  { weight: 1, arbitrary: fc.constantFrom<Step>({ kind: "epoch" }, { kind: "map" }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("drop" as const), key: fc.nat(12) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("mode" as const),
      mode: fc.constantFrom<Fsync>("always", "everysec", "never"),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("powerLoss" as const),
      seed: fc.nat(),
      operations: fc.nat(30),
    }),
  },
);

/** Does the steps; after each restart what is found must be a state that there was, and hold what was promised. */
const play = async (story: readonly Step[]): Promise<void> => {
  let disk = createMemoryDisk();
  let mode: Fsync = "always";
  let rig = await openRig({ disk, mode });
  const states = new Map<Version, string>();
  const note = (): void => {
    states.set(rig.holding.version, JSON.stringify(contentsOf(rig.holding)));
  };
  note();
  /** What no loss of power may take: what was said to be durable in the mode `always`. */
  let promised = 0;
  /** What was appended before the mode was chosen was answered for as the mode before it promises. */
  let since = 0;
  const reopen = async (leastVersion: number): Promise<void> => {
    const before = rig.holding.version;
    rig = await openRig({ disk, mode });
    const { version } = rig.holding;
    if (version < leastVersion || version > before)
      throw new Error(`found ${version}, there were ${leastVersion} to ${before}`);
    if (JSON.stringify(contentsOf(rig.holding)) !== states.get(version))
      throw new Error(
        `at ${version} found ${JSON.stringify(contentsOf(rig.holding))}, was ${states.get(version)}`,
      );
    for (const later of states.keys()) if (later > version) states.delete(later);
    promised = version;
    since = 0;
  };
  const settle = (): Promise<void> => until("all is durable", () => rig.log.durable() === rig.log.newest());
  for (const step of story) {
    const durable = rig.log.durable();
    if (mode === "always" && durable > since) promised = Math.max(promised, durable);
    switch (step.kind) {
      case "write":
        if (rig.holding.epoch === 0) {
          rig.beginEpoch(1);
          note();
        }
        write(rig, step);
        note();
        break;
      case "epoch":
        rig.beginEpoch(rig.holding.epoch + 1);
        note();
        break;
      case "map":
      case "drop":
        if (rig.holding.epoch === 0) {
          rig.beginEpoch(1);
          note();
        }
        if (step.kind === "drop") rig.drop(`key ${step.key}`);
        else rig.enterMap();
        note();
        break;
      case "turn":
        await new Promise((resolve) => setImmediate(resolve));
        break;
      case "settle":
        await settle();
        break;
      case "snapshot":
        await rig.log.snapshot();
        break;
      case "mode":
        await settle();
        mode = step.mode;
        rig.mode.is = mode;
        since = rig.holding.version;
        break;
      case "close":
        await rig.log.close();
        await reopen(rig.holding.version);
        break;
      case "kill": {
        const written = mode === "everysec" ? promised : rig.log.durable();
        disk.stopAt(0);
        disk = disk.restarted();
        await reopen(written);
        break;
      }
      case "powerLoss":
        disk.stopAt(0);
        disk = disk.afterPowerLoss(randomFrom(step.seed));
        disk.stopAt(step.operations);
        // It may have got to its end.
        await openRig({ disk, mode }).catch(ended);
        disk.stopAt(0);
        disk = step.seed % 2 === 0 ? disk.restarted() : disk.afterPowerLoss(randomFrom(step.seed + 1));
        await reopen(promised);
        break;
    }
  }
  await rig.log.close();
};

const ended = (error: unknown): void => {
  if (!messageOf(error).includes("The process has ended")) throw error;
};

const write = ({ write: append, holding }: Rig, { keys, size }: Extract<Step, { kind: "write" }>): void => {
  append(
    ...keys.map((key, i) =>
      i % 3 === 2 ? del(`key ${key}`) : set(`key ${key}`, `${holding.version} ${"v".repeat(size)}`),
    ),
  );
};

test("whatever is done in whatever order, a restart finds a state that there was", async (t) => {
  await fc.assert(fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 60 }), play), {
    numRuns: Number(process.env["EDIS_LOG_STORIES"] ?? 60),
    timeout: 60_000,
  });
  t.pass();
});
