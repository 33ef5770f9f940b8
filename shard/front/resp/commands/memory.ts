import { lookThere } from "../../../turn.ts";
import {
  arg,
  command,
  container,
  option,
  notInteger,
  syntaxError,
  type Call,
  type Command,
} from "../command.ts";
import { memoryFigures } from "../memoryFigures.ts";
import { parseLong } from "../numbers.ts";

/** What a key takes: its entry, its place in the index, its deadline. Strings have no parts to sample. */
const usage = ({ args, turn, reply }: Call): void => {
  const key = arg(args, 2);
  for (let i = 3; i < args.length; i += 2) {
    const samples = args[i + 1];
    if (option(args[i]) !== "SAMPLES" || samples === undefined) throw syntaxError();
    const count = parseLong(samples);
    if (count === undefined) throw notInteger();
    if (count < 0) throw syntaxError();
  }
  const bytes = lookThere(turn, key) ? turn.holding.store.entryBytes(key) : undefined;
  if (bytes === undefined) reply.null();
  else reply.integer(bytes);
};

const stats = (call: Call): void => {
  const { reply, turn } = call;
  const { store } = turn.holding;
  const figures = memoryFigures(call);
  const keys = store.keys();
  const numbers = {
    "peak.allocated": figures.peak,
    "total.allocated": figures.used,
    "clients.normal": figures.clients,
    "overhead.total": figures.used - figures.dataset,
    "keys.count": keys,
    "keys.bytes-per-key": keys === 0 ? 0 : Math.floor(figures.used / keys),
    "dataset.bytes": figures.dataset,
    "allocator.allocated": figures.used,
    "allocator.active": figures.used + figures.dead,
    "allocator.resident": figures.resident,
    "fragmentation.bytes": figures.resident - figures.used,
    "edis.dead": figures.dead,
    "edis.held": store.memory().heldBytes,
    "edis.heap": figures.heap,
  };
  const ratios = {
    "dataset.percentage": figures.used === 0 ? 0 : (figures.dataset / figures.used) * 100,
    "peak.percentage": figures.peak === 0 ? 0 : (figures.used / figures.peak) * 100,
    fragmentation: figures.resident / Math.max(1, figures.used),
  };
  reply.map(Object.keys(numbers).length + Object.keys(ratios).length);
  for (const [name, value] of Object.entries(numbers)) {
    reply.text(name);
    reply.integer(value);
  }
  for (const [name, value] of Object.entries(ratios)) {
    reply.text(name);
    reply.text(String(value));
  }
};

const MiB = 1024 * 1024;
/** Below this the process itself is most of what is resident. */
const littleBytes = 64 * MiB;

const doctor = (call: Call): void => {
  const { usage: limits } = call.turn;
  const { used, max, dead, resident } = memoryFigures(call);
  const shown = (bytes: number): string => `${(bytes / MiB).toFixed(1)} MiB`;
  const found: string[] = [];
  if (max > 0 && used > max)
    found.push(
      `More is held (${shown(used)}) than may be (${shown(max)}): ${limits.eviction === "noeviction" ? "writes are refused. Delete keys, or raise memory.max or choose an eviction in the ShardCluster." : "keys are evicted."}`,
    );
  else if (max > 0 && used > max * 0.9)
    found.push(`${shown(used)} of ${shown(max)} are used, nine tenths or more.`);
  if (limits.refusedWrites > 0)
    found.push(`${limits.refusedWrites} writes were refused for want of memory so far.`);
  if (used > littleBytes && resident > used * 1.6)
    found.push(
      `The process has ${shown(resident)} for ${shown(used)} of data; ${shown(dead)} of that wait for compaction.`,
    );
  call.reply.verbatim(
    found.length === 0
      ? `Nothing stands out: ${shown(used)} of data in a process of ${shown(resident)}.\n`
      : found.map((text) => `* ${text}\n`).join(""),
  );
};

/** Compaction goes on by itself for as long as there is something to give back. */
const purge = ({ reply }: Call): void => {
  reply.simple("OK");
};

const help = ({ reply }: Call): void => {
  const lines = [
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    Return memory problems reports.",
    "PURGE",
    "    Memory is given back without being asked.",
    "STATS",
    "    Return information about the memory usage of the server.",
    "USAGE <key> [SAMPLES <count>]",
    "    Return memory in bytes used by <key> and its value.",
    "HELP",
    "    Prints this help.",
  ];
  reply.array(lines.length);
  for (const text of lines) reply.simple(text);
};

const second = { first: 2, last: 2, step: 1 };

/** MEMORY and its subcommands: true figures of this process. */
export const memory: Command = container("memory", [
  command(["memory|usage", -3, second], ["readonly"], usage),
  command(["memory|stats", 2, null], [], stats),
  command(["memory|doctor", 2, null], [], doctor),
  command(["memory|purge", 2, null], [], purge),
  command(["memory|help", 2, null], ["loading", "stale"], help),
]);
