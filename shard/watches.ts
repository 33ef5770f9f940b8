/** Who wants to know whether a key is written: by key (one character per byte), those who watch it. */
export type Watches = Map<string, Set<Watcher>>;
/** Set once any of its keys was written, or may have been. */
export type Watcher = { touched: boolean };

export const watch = (watches: Watches, key: Uint8Array, watcher: Watcher): void => {
  const name = nameOf(key);
  const watchers = watches.get(name);
  if (watchers === undefined) watches.set(name, new Set([watcher]));
  else watchers.add(watcher);
};

export const unwatch = (watches: Watches, key: Uint8Array, watcher: Watcher): void => {
  const name = nameOf(key);
  const watchers = watches.get(name);
  if (watchers?.delete(watcher) === true && watchers.size === 0) watches.delete(name);
};

export const touch = (watches: Watches, key: Uint8Array): void => {
  if (watches.size === 0) return;
  for (const watcher of watches.get(nameOf(key)) ?? []) watcher.touched = true;
};

/** Whoever orders the writes from now on knows nothing of these watchers. */
export const touchAll = (watches: Watches): void => {
  for (const watchers of watches.values()) for (const watcher of watchers) watcher.touched = true;
  watches.clear();
};

const nameOf = (key: Uint8Array): string =>
  Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
