import test from "ava";
import { epoch, shardId, slotCount } from "../../core/ids.ts";
import type { Request } from "../../core/request.ts";
import { slotOf } from "../../core/slot.ts";
import { route, type Standing } from "../../shard/route.ts";
import { get, increment, remove, session, set } from "../support/shardClient.ts";

const all = new Uint8Array(slotCount).fill(1);
const owner: Standing = { kind: "owner", shard: shardId(2), epoch: epoch(5), slots: all };
const reader: Standing = { kind: "reader", shard: shardId(2), complete: true, hasMap: true, slots: all };
const asked = { shard: shardId(2), epoch: epoch(5) };
const eventual = get("a");
const linearizable = get("a", { kind: "linearizable" });
const sessionRead = get("a", session({ epoch: 5, version: 1 }));
const writes: Request[] = [set("a", "1"), remove("a"), increment("a")];
const codes = (standing: Standing, at: typeof asked, requests: readonly Request[]) =>
  requests.map((request) => route(standing, at, request)?.code ?? "serve");

test("the owner serves everything in its own epoch", (t) => {
  t.deepEqual(codes(owner, asked, [eventual, sessionRead, linearizable, ...writes]), Array(6).fill("serve"));
});

test("the owner takes writes and linearizable reads in no other epoch, older or newer", (t) => {
  for (const e of [0, 4, 6]) {
    const at = { ...asked, epoch: epoch(e) };
    t.deepEqual(codes(owner, at, [linearizable, ...writes]), Array(4).fill("stale-epoch"));
    t.deepEqual(codes(owner, at, [eventual, sessionRead]), ["serve", "serve"]);
  }
});

test("a reader serves eventual and session reads, whatever the epoch, and nothing else", (t) => {
  for (const e of [0, 5, 9]) {
    const at = { ...asked, epoch: epoch(e) };
    t.deepEqual(codes(reader, at, [eventual, sessionRead]), ["serve", "serve"]);
    t.deepEqual(codes(reader, at, [linearizable, ...writes]), Array(4).fill("not-owner"));
  }
});

test("a reader that copies serves nothing yet", (t) => {
  t.deepEqual(codes({ ...reader, complete: false }, asked, [eventual, sessionRead]), [
    "not-serving",
    "not-serving",
  ]);
});

test("another shard, or a key of another shard's slot, is answered by nobody here", (t) => {
  const slots = all.slice();
  slots[slotOf(eventual.key)] = 0;
  for (const standing of [owner, reader]) {
    t.deepEqual(codes(standing, { ...asked, shard: shardId(0) }, [eventual]), ["not-owner"]);
    t.deepEqual(codes({ ...standing, slots }, asked, [eventual, get("b")]), ["not-owner", "serve"]);
  }
});

test("a process that serves nothing says whether it has been told so", (t) => {
  t.deepEqual(codes({ kind: "nothing", informed: false }, asked, [eventual]), ["no-topology"]);
  t.deepEqual(codes({ kind: "nothing", informed: true }, asked, [eventual]), ["not-owner"]);
});
