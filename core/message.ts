import * as v from "valibot";
import { decode, encode, type Budget } from "./cbor.ts";
import { EdisError } from "./errors.ts";
import { epoch, mapVersion, revision, shardId, shardsMax, term, version } from "./ids.ts";
import {
  endedProcessesMax,
  helloBytesMax,
  messageDepthMax,
  messageItemsMax,
  inSyncMax,
  movesPerShardMax,
  readersMax,
  textBytesMax,
  topologyBytesMax,
} from "./limits.ts";
import {
  branded,
  bytesOf,
  count,
  movesShape,
  ms,
  podRefFields,
  settingsShape,
  shardShape,
  text,
} from "./shape.ts";
import { digestedMessage, digestMessage, planMessage, plannedMessage, unansweredMessage } from "./tools.ts";

/**
 * The control messages: CBOR maps with a `kind`, one union per direction. (Requests, replies and records are arrays:
 * see request.ts and record.ts.) Each schema is both the type and the check of what comes in; unknown fields are
 * ignored, so that a newer peer may say more.
 */
export const protocolVersion = 1;

const bytes32 = bytesOf(32);
const epochField = branded(epoch);
const versionField = branded(version);
const shardField = branded(shardId);
const stamp = v.object({ term: branded(term), revision: branded(revision) });

const address = v.object({
  host: text,
  client: v.pipe(count, v.maxValue(65_535)),
  replication: v.pipe(count, v.maxValue(65_535)),
  http: v.pipe(count, v.maxValue(65_535)),
  resp: v.pipe(count, v.maxValue(65_535)),
});

const memberState = v.picklist(["starting", "copying", "serving", "leaving"]);
const home = v.picklist(["writer", "reader"]);
const member = v.object({
  ...podRefFields,
  home,
  shard: v.nullable(shardField),
  state: memberState,
  address,
  node: text,
  zone: text,
});

const shards = v.pipe(v.array(shardShape), v.maxLength(shardsMax));
const members = v.pipe(v.array(member), v.maxLength(readersMax + shardsMax));

const topology = v.object({
  clusterId: text,
  cluster: text,
  term: branded(term),
  revision: branded(revision),
  mapVersion: branded(mapVersion),
  lagMsMax: ms,
  settings: settingsShape,
  shards,
  moves: movesShape,
  members,
});

const topologyMessage = v.object({ kind: v.literal("topology"), topology });
const changeMessage = v.object({
  kind: v.literal("change"),
  change: v.object({
    clusterId: text,
    from: stamp,
    to: stamp,
    mapVersion: branded(mapVersion),
    lagMsMax: ms,
    settings: settingsShape,
    shardCount: v.pipe(count, v.maxValue(shardsMax)),
    shards,
    moves: movesShape,
    members,
    gone: v.pipe(v.array(text), v.maxLength(readersMax + shardsMax)),
  }),
});

/** How far a reader is behind its writer: records, bytes of records, and milliseconds since it last held all there was. */
const lag = v.object({ versions: count, bytes: count, ms });
export type Lag = v.InferOutput<typeof lag>;

/** An owner's side of its in-sync set: whom it wants recorded, as of its `seq`th change of mind in this epoch. */
const sync = v.object({ seq: count, members: v.pipe(v.array(text), v.maxLength(inSyncMax)) });
/** What one owner says of a move of slots that it takes part in. */
const moveReport = v.variant("kind", [
  v.object({
    kind: v.literal("source"),
    id: count,
    /** Keys of these slots, and their bytes, as of now. */
    keys: count,
    bytes: count,
    /** Frozen: the newest record of these slots, and of all others until then; null while it is not. */
    frozen: v.nullable(versionField),
  }),
  v.object({
    kind: v.literal("target"),
    id: count,
    state: v.picklist(["connecting", "copying", "following"]),
    keys: count,
    bytes: count,
    /** Records of the source that are still to come, as far as is known. */
    lag: count,
    /** Everything of these slots up to this version of the source is here as durably as a write that is acknowledged; null before that. */
    holds: v.nullable(versionField),
    /** Why it does not get on; null where nothing is wrong. */
    problem: v.nullable(text),
  }),
]);
export type MoveReport = v.InferOutput<typeof moveReport>;

/** How one shard process is doing; what it tells info with every heartbeat, and clients that ask. */
const report = v.object({
  ...podRefFields,
  home,
  /** What it does now. `owner` and `reader` name the shard and epoch they do it for. */
  serving: v.variant("kind", [
    v.object({ kind: v.literal("nothing") }),
    v.object({
      kind: v.literal("owner"),
      shard: shardField,
      epoch: epochField,
      sync: v.optional(sync, { seq: 0, members: [] }),
      /** During a handover: it takes nothing more, and this is its newest record; it is durable. */
      frozen: v.nullish(versionField, null),
      moves: v.optional(v.pipe(v.array(moveReport), v.maxLength(movesPerShardMax)), []),
    }),
    v.object({
      kind: v.literal("reader"),
      shard: shardField,
      epoch: epochField,
      state: v.picklist(["connecting", "copying", "streaming"]),
      /** Keys copied of keys in all, while copying. */
      copied: count,
      copyTotal: count,
      lag,
      /** Since the source was last heard of in this epoch; null where it was not. */
      heardMs: v.nullish(ms, null),
    }),
  ]),
  /** Counts the reports of a process; a grant echoes it. */
  seq: v.optional(count, 0),
  /** The newest topology that it has obeyed: what `frozen` says is of this one's phases and moves, not of earlier ones. Null before the first. */
  topology: v.nullish(stamp, null),
  /** It obeys no owner of this shard below `epoch`, and may have granted one a lease for another `leftMs`. */
  promised: v.nullish(v.object({ shard: shardField, epoch: epochField, leftMs: ms }), null),
  leaving: v.boolean(),
  /** The newest place up to which it holds everything of a shard, served or not; null where it holds nothing whole. */
  held: v.nullable(v.object({ shard: shardField, epoch: epochField, version: versionField })),
  version: versionField,
  keys: count,
  bytes: count,
  /** At an owner: where each of its readers stands, as the owner sees it. */
  readers: v.pipe(v.array(v.object({ pod: text, state: text, lag })), v.maxLength(readersMax)),
});
export type Report = v.InferOutput<typeof report>;

// --- Opening a connection: challenge -> hello -> welcome | refused ------------------------------------------------

/** Acceptor to dialer, first of all: what the proof has to be made of. */
const challenge = v.object({ kind: v.literal("challenge"), nonce: bytes32 });
export const roles = ["client", "writer", "reader", "operator"] as const;
export type Role = (typeof roles)[number];
const hello = v.object({
  kind: v.literal("hello"),
  protocol: count,
  /** UID, or `namespace/name`, or empty at info for "the only one there is". */
  cluster: text,
  role: v.picklist(roles),
  /** Name and incarnation of the sender; a client's are its own choice. */
  ...podRefFields,
  /** The pod that the dialer believes to reach; empty where any will do. */
  to: text,
  nonce: bytes32,
  /** HMAC-SHA256 over the whole exchange (see proof.ts); empty from a client. */
  proof: bytesOf(0, 32),
});
export type Hello = v.InferOutput<typeof hello>;
const welcome = v.object({
  kind: v.literal("welcome"),
  protocol: count,
  clusterId: text,
  cluster: text,
  ...podRefFields,
  proof: bytesOf(0, 32),
});
export type Welcome = v.InferOutput<typeof welcome>;
const refused = v.object({
  kind: v.literal("refused"),
  code: text,
  message: text,
  /** With `not-leader`: the url of the info instance that is, or empty. */
  leader: text,
});

// --- Client -> shard or info, and back -----------------------------------------------------------------------------

/** Wants the topology now and each change from then on. */
const watch = v.object({ kind: v.literal("watch") });
/** Wants a `report`. */
const ask = v.object({ kind: v.literal("ask") });
const reportMessage = v.object({ kind: v.literal("report"), report });
/** The sender ends soon: ask others; what is under way is still answered. */
const leaving = v.object({ kind: v.literal("leaving") });
/** The connection ends because of this. */
const failure = v.object({ kind: v.literal("failure"), code: text, message: text });

// --- Shard -> info ---------------------------------------------------------------------------------------------------

/** One process of a shard. */
const processId = v.object({
  /** What its pod is called by the platform, other than any that bears its name before or after; empty where not known. */
  uid: v.optional(text, ""),
  /** When it started, by the wall clock of its machine; 0 where not known. */
  startedAtMs: v.optional(ms, 0),
});
export type ProcessId = v.InferOutput<typeof processId>;

/** After the hello: where it is found. */
const register = v.object({
  kind: v.literal("register"),
  home,
  address,
  node: text,
  zone: text,
  ...processId.entries,
  /** Those that had its volume before and have ended, as far as it can tell; the latest first. */
  ended: v.optional(v.pipe(v.array(processId), v.maxLength(endedProcessesMax)), []),
  /** Those that had its volume before, whether or not it can tell that they have ended; the latest first. */
  had: v.optional(v.pipe(v.array(processId), v.maxLength(endedProcessesMax)), []),
});
/** From an owner, now and then: how many bytes each of its slots has, in the order of the slots, as 32-bit floats (little-endian). */
const slotSizes = v.object({
  kind: v.literal("slotSizes"),
  shard: shardField,
  epoch: epochField,
  mapVersion: branded(mapVersion),
  sizes: v.custom<Uint8Array>((field) => field instanceof Uint8Array && field.length <= 4 * 16_384),
});

// --- Info -> shard ---------------------------------------------------------------------------------------------------

/** To an owner: nobody else is made owner within a lease from when report `seq` was received. */
const grant = v.object({
  kind: v.literal("grant"),
  seq: count,
  shard: shardField,
  epoch: epochField,
  /** How long that lease is, where it is not the one of the settings. */
  leaseMs: v.optional(ms),
});

// --- Reader -> writer, and back (records and entries are arrays, in frames of their own) ----------------------------

/** From a reader, after its hello: where its copy stands; (0, 0) holds nothing. */
const resync = v.object({
  kind: v.literal("resync"),
  shard: shardField,
  epoch: epochField,
  version: versionField,
});
/** From a reader, after the hello of a second connection: it wants all that there is. */
const copy = v.object({ kind: v.literal("copy"), shard: shardField });
const historyField = v.pipe(
  v.array(v.object({ epoch: epochField, startVersion: versionField })),
  v.maxLength(100_000),
);
/** The reader's copy is good: the next record is `version` + 1. */
const goOn = v.object({ kind: v.literal("continue"), epoch: epochField, version: versionField });
/** The records behind the reader's copy are not there, or the copy is none of this data: only a full copy helps. */
const copyFirst = v.object({ kind: v.literal("copyFirst") });
/**
 * On the second connection: entries follow, then `copied`. They show each key as it was at `version` or later, up to where
 * `copied` says; with the records from `version` on they are a copy as it was there.
 */
const copying = v.object({
  kind: v.literal("copying"),
  epoch: epochField,
  version: versionField,
  bytes: count,
  keys: count,
  history: historyField,
  mapVersion: v.optional(branded(mapVersion), 1),
});
/** All entries have been sent: with the records up to `version` the copy is whole. */
const copied = v.object({ kind: v.literal("copied"), version: versionField });
/** The source's heartbeat: its newest version and the bytes of all records up to it. An owner's asks for a lease as well: `seq` counts them. */
const mark = v.object({
  kind: v.literal("mark"),
  epoch: epochField,
  version: versionField,
  bytes: count,
  seq: v.optional(count, 0),
});
/** The reader holds everything up to `version`. `grant`: it obeys nobody else within `leaseMs` from when mark `grant` came; 0: none. */
const ack = v.object({
  kind: v.literal("ack"),
  epoch: epochField,
  version: versionField,
  bytes: count,
  grant: v.optional(count, 0),
  leaseMs: v.optional(ms, 0),
});

// --- Owner of the shard that slots go to -> owner of the one they come from, and back (records and entries as above) ---

/**
 * After the hello of a connection of its own: wants all keys of the slots of this move of the topology, and what is written to
 * them from then on. `shard` and `epoch` are those that they come from. `after`: everything up to there has been taken before, on a
 * connection that is gone; 0: nothing.
 */
const importSlots = v.object({
  kind: v.literal("import"),
  move: count,
  shard: shardField,
  epoch: epochField,
  after: v.optional(versionField, 0),
});
/** Records of these slots behind the version that was asked for follow. */
const resumed = v.object({ kind: v.literal("resumed"), version: versionField });
/** Entries of these slots follow, each as it was at `version` or later, then `imported`. `keys` and `bytes`: how many there are now. */
const importing = v.object({
  kind: v.literal("importing"),
  epoch: epochField,
  version: versionField,
  keys: count,
  bytes: count,
});
/** All entries have been sent: with the records of these slots up to `version` they are what there was at that moment. */
const imported = v.object({ kind: v.literal("imported"), version: versionField });

/** Whatever is written to these slots up to `version` has been sent; the newest record of the shard is `newest`. */
const sent = v.object({ kind: v.literal("sent"), version: versionField, newest: versionField });

export const helloSchema = v.variant("kind", [hello]);
export const challengeSchema = v.variant("kind", [challenge, refused]);
export const welcomeSchema = v.variant("kind", [welcome, refused]);
export const fromClientSchema = v.variant("kind", [watch, ask, digestMessage, planMessage]);
/** To who asked for a digest or a plan. */
export const toToolSchema = v.variant("kind", [
  digestedMessage,
  plannedMessage,
  unansweredMessage,
  leaving,
  failure,
]);
export const toClientSchema = v.variant("kind", [
  topologyMessage,
  changeMessage,
  reportMessage,
  leaving,
  failure,
]);
export const fromShardSchema = v.variant("kind", [register, reportMessage, slotSizes]);
export const toShardSchema = v.variant("kind", [topologyMessage, changeMessage, grant, failure]);
export const fromReaderSchema = v.variant("kind", [resync, copy, ack]);
/** The first message on a connection to the replication port. */
export const toSourceSchema = v.variant("kind", [resync, copy, ack, importSlots]);
export const toTargetSchema = v.variant("kind", [importing, imported, resumed, sent, leaving, failure]);
export const toReaderSchema = v.variant("kind", [goOn, copyFirst, copying, copied, mark, leaving, failure]);

export type FromClient = v.InferOutput<typeof fromClientSchema>;
export type ToClient = v.InferOutput<typeof toClientSchema>;
export type ToTool = v.InferOutput<typeof toToolSchema>;
export type FromShard = v.InferOutput<typeof fromShardSchema>;
export type ToShard = v.InferOutput<typeof toShardSchema>;
export type FromReader = v.InferOutput<typeof fromReaderSchema>;
export type ImportSlots = v.InferOutput<typeof importSlots>;
export type ToTarget = v.InferOutput<typeof toTargetSchema>;
export type SlotSizes = v.InferOutput<typeof slotSizes>;
export type ToReader = v.InferOutput<typeof toReaderSchema>;
export type Register = v.InferOutput<typeof register>;
export type History = v.InferOutput<typeof historyField>;
type Message =
  | FromClient
  | ToClient
  | ToTool
  | FromShard
  | ToShard
  | FromReader
  | ToReader
  | ImportSlots
  | ToTarget
  | v.InferOutput<typeof challenge>
  | Hello
  | Welcome
  | v.InferOutput<typeof refused>;

export const helloBudget: Budget = { bytesMax: helloBytesMax, depthMax: 2, itemsMax: 64 };
export const messageBudget: Budget = {
  bytesMax: topologyBytesMax,
  depthMax: messageDepthMax,
  itemsMax: messageItemsMax,
};

/** The types of the schemas are mutable; what is sent need not be. */
type Frozen<T> = T extends Uint8Array ? T : T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;

/** The bytes of a control message. */
export const encodeMessage = (message: Frozen<Message>): Uint8Array => encode(message);

/** Reads a control message of one direction. Throws `bad-message` or `too-large`. */
export const decodeMessage = <S extends v.GenericSchema>(
  schema: S,
  bytes: Uint8Array,
  budget: Budget = messageBudget,
): v.InferOutput<S> => {
  const parsed = v.safeParse(schema, decode(bytes, budget), { abortEarly: true });
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  const where = v.getDotPath(issue) ?? "the message";
  throw new EdisError(
    "bad-message",
    `Cannot read the message: ${where}: ${issue.message}`.slice(0, textBytesMax),
  );
};

/** Whether a frame holds a control message (a CBOR map) rather than requests, replies or records (arrays). */
export const isControl = (bytes: Uint8Array): boolean => (bytes[0] ?? 0) >> 5 === 5;
