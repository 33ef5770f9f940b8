import * as v from "valibot";
import { linesOf } from "./lines.ts";
import { in_ } from "./world.ts";

/** The shards of the ShardTopology `demo`, as they change. */
const shards = v.array(
  v.object({
    id: v.number(),
    epoch: v.number(),
    owner: v.nullable(v.object({ pod: v.string(), incarnation: v.string() })),
    inSync: v.array(v.string()),
    phase: v.object({ kind: v.string() }),
    slots: v.array(v.tuple([v.number(), v.number()])),
  }),
);
export type ShardSeen = v.InferOutput<typeof shards>[number];

export type ShardWatch = {
  readonly now: () => readonly ShardSeen[];
  readonly until: <Found>(
    what: string,
    msMax: number,
    look: (now: readonly ShardSeen[]) => Found | null,
  ) => Promise<Found>;
  readonly stop: () => void;
};

export const watchShards = (): ShardWatch => {
  const path = 'jsonpath={.spec.shards}{"\\n"}';
  const lines = linesOf("kubectl", [...in_, "get", "sht", "demo", "-w", "-o", path], (line) =>
    line === "" ? null : v.parse(shards, JSON.parse(line)),
  );
  return {
    now: () => lines.all().at(-1) ?? [],
    until: (what, msMax, look) => lines.until(what, msMax, (all) => look(all.at(-1) ?? [])),
    stop: lines.stop,
  };
};
