import { respQueuedBytesMax } from "../../../core/limits.ts";
import type { Turn } from "../../turn.ts";
import { unwatch, watch, type Watcher, type Watches } from "../../watches.ts";
import { isThere } from "../../turn.ts";
import { ReplyError, type Command } from "./command.ts";

/** What a client has queued since MULTI. */
export type Transaction = {
  readonly queue: { readonly command: Command; readonly args: readonly Buffer[] }[];
  bytes: number;
  /** A command was refused: EXEC will be too. */
  isBroken: boolean;
};

export const begin = (): Transaction => ({ queue: [], bytes: 0, isBroken: false });

/** Keeps a command until EXEC: its bytes are copied. Throws where there is no room. */
export const queue = (transaction: Transaction, command: Command, args: readonly Buffer[]): void => {
  const size = args.reduce((sum, { length }) => sum + length, 0);
  if (transaction.bytes + size > respQueuedBytesMax)
    throw new ReplyError(`ERR the transaction has more than ${respQueuedBytesMax} bytes`);
  transaction.bytes += size;
  const bytes = Buffer.concat([...args]);
  let at = 0;
  const copies = args.map(({ length }) => bytes.subarray(at, (at += length)));
  transaction.queue.push({ command, args: copies });
};

export const abort = (transaction: Transaction): void => {
  transaction.isBroken = true;
};

/** The keys that a client watches. */
export type Watching = {
  readonly watcher: Watcher;
  readonly keys: { readonly key: Buffer; readonly watches: Watches; readonly wasThere: boolean }[];
};

export const watchNothing = (): Watching => ({ watcher: { touched: false }, keys: [] });

export const watchKey = ({ watcher, keys }: Watching, key: Buffer, turn: Turn): void => {
  const { watches } = turn;
  if (keys.some((watched) => watched.watches === watches && watched.key.equals(key))) return;
  keys.push({ key: Buffer.from(key), watches, wasThere: isThere(turn, key) });
  watch(watches, key, watcher);
};

/** Whether a watched key was written since, expired, or may have been written while somebody else ordered the writes. */
export const wasTouched = ({ watcher, keys }: Watching, turn: Turn): boolean =>
  watcher.touched ||
  keys.some(({ key, watches, wasThere }) => watches !== turn.watches || (wasThere && !isThere(turn, key)));

export const unwatchAll = (watching: Watching): void => {
  for (const { key, watches } of watching.keys) unwatch(watches, key, watching.watcher);
  watching.keys.length = 0;
  watching.watcher.touched = false;
};
