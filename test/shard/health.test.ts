import test from "ava";
import { epoch, shardId, version } from "../../core/ids.ts";
import type { Report } from "../../core/message.ts";
import { unready } from "../../shard/health.ts";
import { owningFields, reportFields } from "../support/fields.ts";

const report = (serving: Report["serving"], more: Partial<Report> = {}): Report => ({
  ...{ pod: "p", incarnation: "1", home: "writer", leaving: false, version: version(0), keys: 0, bytes: 0 },
  ...{ readers: [], serving, held: null, ...reportFields },
  ...more,
});
const nothing: Report["serving"] = { kind: "nothing" };
const owner: Report["serving"] = { ...owningFields, shard: shardId(0), epoch: epoch(1) };
const reader = (state: "connecting" | "copying" | "streaming", ms: number): Report["serving"] => ({
  ...{ kind: "reader", shard: shardId(0), epoch: epoch(1), state, copied: 0, copyTotal: 0 },
  ...{ lag: { versions: 0, bytes: 0, ms }, heardMs: null },
});
const known = { lagMsMax: 1_000, registered: true };

test("who may be asked is ready, and who may not says why", (t) => {
  t.is(unready(report(owner), known), null);
  t.is(unready(report(owner), { ...known, registered: false }), null, "info may be away");
  t.is(unready(report(owner, { leaving: true }), known), "leaving");
  t.is(unready(report(nothing), known), null, "a writer that waits for its shard");
  t.is(
    unready(report(nothing), { ...known, registered: false }),
    "owns nothing and is not registered with info",
  );
  t.is(unready(report(nothing), { ...known, lagMsMax: undefined }), "no topology yet");
  t.is(unready(report(nothing, { home: "reader" }), known), "not assigned to a shard");
  t.is(unready(report(reader("streaming", 1_000)), known), null);
  t.is(unready(report(reader("streaming", 1_001)), known), "1001 ms behind, 1000 are allowed");
  t.is(unready(report(reader("copying", 0)), known), "copying");
});
