/** Checks a history of JSON lines, one operation each (see history.ts): `node test/sim/checker/checkFile.ts FILE [owner|inSync]`. */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import * as v from "valibot";
import { checkHistory } from "./check.ts";
import type { Operation } from "./history.ts";

const text = v.nullish(v.string());
const line = v.object({
  process: v.number(),
  op: v.picklist(["get", "set", "del", "incr", "cas"]),
  key: v.string(),
  ...{ value: text, expect: text, result: text },
  level: v.nullish(v.picklist(["linearizable", "session", "eventual"])),
  invokeNs: v.number(),
  completeNs: v.number(),
  outcome: v.picklist(["ok", "fail", "unknown"]),
  epoch: v.nullish(v.number()),
  version: v.nullish(v.number()),
});

/** What is null says as little as what is missing, but for a result: that is what a get of nothing brings. */
const operationOf = (read: unknown): Operation => {
  const { result, ...rest } = v.parse(line, read);
  const { process, op, key, invokeNs, completeNs, outcome } = rest;
  const given = Object.fromEntries(
    Object.entries(rest).filter(([, value]) => value !== null && value !== undefined),
  );
  return {
    ...given,
    process,
    op,
    key,
    invokeNs,
    completeNs,
    outcome,
    ...(result === undefined ? {} : { result }),
  };
};

const [file = "", mode = "inSync"] = process.argv.slice(2);
const history: Operation[] = [];
for await (const text of createInterface({ input: createReadStream(file) }))
  if (text !== "") history.push(operationOf(JSON.parse(text)));
history.sort((a, b) => a.invokeNs - b.invokeNs);
const result = checkHistory(history, {
  ...{ keepsAcknowledged: mode === "inSync", okMin: 1, faults: ["not told here"], slotsMoved: true },
});
for (const { kind, key, what } of result.violations) console.log(`${kind} (${key}): ${what}`);
console.log(
  `${history.length} operations: ${result.ok} ok, ${result.unknown} unknown, ${result.failed} failed; ${result.undecided} keys undecided; ${result.violations.length} violations`,
);
process.exit(result.violations.length === 0 ? 0 : 1);
