import { abortWith } from "../../core/abort.ts";
import { backoffMs } from "../../core/backoff.ts";
import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import type { Logger } from "../../core/logger.ts";
import { ApiError, isStatus, type Api } from "./api.ts";

/**
 * List, then watch, for ever: the cache below holds what the API server last told. A stream that ends is taken up where it
 * ended; after 410, and now and then in any case, everything is listed anew; errors and streams that end at once are
 * waited out. A stream that falls silent is given up, as nothing else tells a quiet one from a dead one.
 */
export type WatchOptions<T> = {
  readonly api: Api;
  /** Such as `/api/v1/pods`. */
  readonly path: string;
  readonly labelSelector: string;
  /** Keeps what is of interest; undefined leaves the object out. */
  readonly decode: (object: unknown) => T | undefined;
  /**
   * Hears of every change; `now` is undefined when the object is gone, `before` is then, where the server told, how it was last
   * of all. Must not throw and should only note.
   */
  readonly changed: (key: string, now: T | undefined, before: T | undefined) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** True where one can do without: while it is forbidden, `listed` resolves with nothing. */
  readonly optional?: boolean;
  readonly limits?: WatchLimits;
};
export type WatchLimits = { readonly idleMsMax: number; readonly relistMs: number; readonly retryMs: number };

export type Watched<T> = {
  /** By `namespace/name` (`/name` for what has no namespace). */
  readonly objects: ReadonlyMap<string, T>;
  /** Resolves when the first list is in. */
  readonly listed: Promise<void>;
  /** Runs until the signal is aborted; never rejects. */
  readonly run: (signal: AbortSignal) => Promise<void>;
};

const defaults: WatchLimits = { idleMsMax: 30_000, relistMs: 600_000, retryMs: 250 };
const pageObjects = 500;
const retryMsMax = 5_000;
/** What is optional and forbidden is asked for this often. */
const forbiddenMs = 300_000;
/** … after so many tries in a row that follow each other as after any error. */
const forbiddenTriesMax = 5;
/** One event holds one object: 1.5 MB in etcd, some more as JSON. */
const lineBytesMax = 8 * 1024 * 1024;

export const createWatch = <T>(options: WatchOptions<T>): Watched<T> => {
  const { path, clock, random, logger, optional = false, limits = defaults } = options;
  let heard: () => void = () => undefined;
  const listed = new Promise<void>((resolve) => {
    heard = resolve;
  });
  const cache: Cache<T> = { options, objects: new Map() };

  /** One list where it is due, and one stream; returns where to go on, or undefined to list anew. */
  const round = async (place: Place, signal: AbortSignal): Promise<Place> => {
    let { at, relistAtMs } = place;
    if (at === undefined || clock.nowMs() >= relistAtMs) {
      at = await list(cache, signal);
      heard();
      relistAtMs = clock.nowMs() + limits.relistMs * (1 + random() / 4);
    }
    const due = new AbortController();
    const cancel = clock.after(Math.max(0, relistAtMs - clock.nowMs()), () => {
      due.abort();
    });
    const release = abortWith(due, signal);
    at = await follow(cache, at, due.signal).finally(() => {
      cancel();
      release();
    });
    return { at, relistAtMs };
  };

  const run = async (signal: AbortSignal): Promise<void> => {
    const isOver = (): boolean => signal.aborted;
    let place: Place = { at: undefined, relistAtMs: 0 };
    let failures = 0;
    while (!isOver()) {
      const startedMs = clock.nowMs();
      try {
        place = await round(place, signal);
        // A stream that ends at once, again and again, is as bad as an error.
        failures = clock.nowMs() - startedMs > retryMsMax ? 0 : failures + 1;
      } catch (error) {
        if (isOver()) return;
        if (isStatus(error, 410)) place = { ...place, at: undefined };
        failures++;
        logger.warn({ path, failures, reason: messageOf(error) }, "cannot watch: trying again");
        // Not for good: an API server that has just started forbids everything until it has read its rules.
        if (optional && isStatus(error, 403)) {
          heard();
          if (failures > forbiddenTriesMax) await clock.sleep(forbiddenMs, signal).catch(() => undefined);
        }
      }
      if (failures > 0) {
        const wait = backoffMs({ firstMs: limits.retryMs, maxMs: retryMsMax }, failures, random());
        await clock.sleep(wait, signal).catch(() => undefined);
      }
    }
  };

  return { objects: cache.objects, listed, run };
};

type Place = { readonly at: string | undefined; readonly relistAtMs: number };
type Cache<T> = { readonly options: WatchOptions<T>; readonly objects: Map<string, T> };

const put = <T>({ options, objects }: Cache<T>, key: string, now: T | undefined): void => {
  const before = objects.get(key);
  if (now === undefined) objects.delete(key);
  else objects.set(key, now);
  if (now !== undefined || before !== undefined) options.changed(key, now, before);
};

const remove = <T>({ options, objects }: Cache<T>, key: string, last: T | undefined): void => {
  const before = last ?? objects.get(key);
  if (objects.delete(key)) options.changed(key, undefined, before);
};

const selector = <T>({ labelSelector }: WatchOptions<T>): string =>
  labelSelector === "" ? "" : `&labelSelector=${encodeURIComponent(labelSelector)}`;

/** Makes the cache what the server has now; returns the version of that. */
const list = async <T>(cache: Cache<T>, signal: AbortSignal): Promise<string> => {
  const { api, path, decode } = cache.options;
  const present = new Map<string, T | undefined>();
  for (let from = ""; ;) {
    const next = from === "" ? "" : `&continue=${encodeURIComponent(from)}`;
    const page = pageFrom(
      await api.request({
        method: "GET",
        path: `${path}?limit=${pageObjects}${selector(cache.options)}${next}`,
        signal,
      }),
    );
    for (const item of page.items) present.set(metaFrom(item).key, decode(item));
    if (page.next === "") {
      for (const key of [...cache.objects.keys()]) if (!present.has(key)) put(cache, key, undefined);
      for (const [key, now] of present) put(cache, key, now);
      return page.resourceVersion;
    }
    from = page.next;
  }
};

/** Follows one stream until it ends; returns where to go on, or undefined to list anew. */
const follow = async <T>(
  cache: Cache<T>,
  since: string,
  signal: AbortSignal,
): Promise<string | undefined> => {
  const { api, path, decode, logger, limits = defaults } = cache.options;
  const query = `watch=1&allowWatchBookmarks=true&resourceVersion=${encodeURIComponent(since)}`;
  const stream = await api.stream(`${path}?${query}${selector(cache.options)}`, {
    signal,
    idleMsMax: limits.idleMsMax,
  });
  let at = since;
  try {
    for await (const line of linesOf(stream)) {
      const { type, object } = eventFrom(line);
      if (type === "ERROR") return undefined;
      const { key, resourceVersion } = metaFrom(object);
      if (type === "DELETED") remove(cache, key, decode(object));
      else if (type !== "BOOKMARK") put(cache, key, decode(object));
      at = resourceVersion;
    }
  } catch (error) {
    // What came before the cut is good.
    logger.debug({ path, reason: messageOf(error) }, "watch was cut");
  }
  return at;
};

async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    let piece = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    for (let end = piece.indexOf(10); end !== -1; end = piece.indexOf(10)) {
      yield Buffer.concat([...rest, piece.subarray(0, end)]).toString("utf8");
      rest = [];
      bytes = 0;
      piece = piece.subarray(end + 1);
    }
    rest.push(piece);
    bytes += piece.length;
    if (bytes > lineBytesMax)
      throw new ApiError(0, `An event of a watch has more than ${lineBytesMax} bytes`);
  }
}

type Loose = Readonly<Record<string, unknown>>;
const loose = (value: unknown): Loose =>
  typeof value === "object" && value !== null ? (value as Loose) : {};
const text = (value: unknown): string => (typeof value === "string" ? value : "");

const metaFrom = (object: unknown): { readonly key: string; readonly resourceVersion: string } => {
  const metadata = loose(loose(object)["metadata"]);
  return {
    key: `${text(metadata["namespace"])}/${text(metadata["name"])}`,
    resourceVersion: text(metadata["resourceVersion"]),
  };
};

const pageFrom = (
  list: unknown,
): { readonly items: readonly unknown[]; readonly next: string; readonly resourceVersion: string } => {
  const { items, metadata } = loose(list);
  const { continue: next, resourceVersion } = loose(metadata);
  if (!Array.isArray(items)) throw new ApiError(0, "Cannot read a list: it has no items");
  return { items: items as unknown[], next: text(next), resourceVersion: text(resourceVersion) };
};

const eventFrom = (line: string): { readonly type: string; readonly object: unknown } => {
  const { type, object } = loose(JSON.parse(line) as unknown);
  return { type: text(type), object };
};
