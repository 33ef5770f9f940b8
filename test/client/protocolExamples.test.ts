import test from "ava";
import { readFileSync } from "node:fs";
import { encode } from "../../core/cbor.ts";
import { errorCodes } from "../../core/errors.ts";
import { epoch, revision, shardId, term, version } from "../../core/ids.ts";
import { encodeMessage, helloSchema, decodeMessage } from "../../core/message.ts";
import { encodeEntry, encodeRecord } from "../../core/record.ts";
import { encodeReplies, encodeRequests } from "../../core/requestEncoder.ts";
import { usualSettings } from "../../core/settings.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const nonce = new Uint8Array(32);
const place = { epoch: epoch(1), version: version(7) };
const hello = {
  kind: "hello",
  protocol: 1,
  cluster: "default/demo",
  role: "client",
  pod: "client",
  incarnation: "1",
  to: "",
  nonce,
  proof: new Uint8Array(0),
} as const;

/** What docs/protocol.md shows, made by the code. */
const examples: Readonly<Record<string, Uint8Array>> = {
  challenge: encodeMessage({ kind: "challenge", nonce }),
  hello: encodeMessage(hello),
  watch: encodeMessage({ kind: "watch" }),
  leaving: encodeMessage({ kind: "leaving" }),
  "get eventual, set, delete, increment": encodeRequests({
    id: 1,
    shard: shardId(0),
    epoch: epoch(1),
    requests: [
      { kind: "get", key: text("a"), read: { kind: "eventual", lagMsMax: null } },
      {
        kind: "set",
        key: text("b"),
        value: text("hi"),
        condition: { kind: "ifEqual", value: text("ho") },
        expiry: { kind: "in", ms: 10_000 },
      },
      { kind: "delete", key: text("c") },
      { kind: "increment", key: text("d"), by: -1 },
    ],
  }),
  "get session": encodeRequests({
    id: 2,
    shard: shardId(0),
    epoch: epoch(1),
    requests: [{ kind: "get", key: text("a"), read: { kind: "session", ...place } }],
  }),
  replies: encodeReplies({
    id: 1,
    results: [
      { kind: "value", value: text("hi"), ...place, lagMs: 0 },
      { kind: "set", applied: true, ...place },
      { kind: "deleted", existed: false, ...place },
      { kind: "error", code: "not-an-integer", message: "no" },
    ],
  }),
  "set record": encodeRecord({
    ...place,
    operation: { kind: "set", key: text("a"), value: text("1"), expiresAtMs: 1_800_000_000_000 },
  }),
  "delete record": encodeRecord({ ...place, operation: { kind: "delete", key: text("a") } }),
  entry: encodeEntry({ key: text("a"), value: text("1"), expiresAtMs: null }),
  change: encode({
    kind: "change",
    change: {
      clusterId: "c1",
      from: { term: term(1), revision: revision(4) },
      to: { term: term(1), revision: revision(5) },
      mapVersion: 1,
      lagMsMax: 1000,
      settings: usualSettings,
      shardCount: 1,
      shards: [],
      moves: [],
      members: [],
      gone: ["demo-read-1"],
    },
  }),
};

const page = readFileSync(new URL("../../docs/protocol.md", import.meta.url), "utf8");
const hexIn = page.replaceAll(/\s+/g, "");

test("the bytes in docs/protocol.md are those that the code writes", (t) => {
  for (const [name, bytes] of Object.entries(examples)) {
    const hex = Buffer.from(bytes).toString("hex");
    t.true(hexIn.includes(hex), `${name}: ${hex}`);
  }
  t.deepEqual(decodeMessage(helloSchema, encodeMessage(hello)), {
    ...hello,
    nonce: Buffer.from(nonce),
    proof: Buffer.alloc(0),
  });
});

test("docs/protocol.md names every error code and what to do next", (t) => {
  for (const [code, next] of Object.entries(errorCodes))
    t.regex(page, new RegExp(`\\| \`${code}\` \\| ${next} \\|`), code);
});
