import test from "ava";
import { epoch, shardId, slotCount } from "../../core/ids.ts";
import type { Request } from "../../core/request.ts";
import { slotOf } from "../../core/slot.ts";
import { route, type Standing } from "../../shard/route.ts";
import { get, increment, remove, session, set } from "../support/shardClient.ts";

const all = new Uint8Array(slotCount).fill(1);
const owner = { kind: "owner", shard: shardId(2), epoch: epoch(5), slots: all, hasLease: true } as const;
const reader = {
  kind: "reader",
  shard: shardId(2),
  complete: true,
  hasMap: true,
  slots: all,
  isNext: false,
} as const;
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
  t.deepEqual(codes({ kind: "nothing", informed: false, isNext: false }, asked, [eventual]), ["no-topology"]);
  t.deepEqual(codes({ kind: "nothing", informed: true, isNext: false }, asked, [eventual]), ["not-owner"]);
});

test("an owner without a lease answers only what bears an old answer", (t) => {
  const standing = { ...owner, hasLease: false };
  t.deepEqual(codes(standing, asked, [linearizable, ...writes]), Array(4).fill("no-lease"));
  t.deepEqual(codes(standing, asked, [eventual, sessionRead]), ["serve", "serve"]);
});

test("whoever is named owner, and is not yet, lets wait what needs the owner", (t) => {
  const next = { ...reader, isNext: true };
  t.deepEqual(codes(next, asked, [eventual, linearizable]), ["serve", "try-again"]);
  t.deepEqual(codes({ kind: "nothing", informed: true, isNext: true }, asked, [linearizable]), ["try-again"]);
});
