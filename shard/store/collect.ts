/**
 * Asks V8 to find and give back memory outside its heap that nothing names any more, soon and in small steps. It looks for such
 * when ordinary buffers have grown by 64 MiB since it looked last: this one has that size, is never touched, so that it takes no memory,
 * and is gone at once.
 */
export const askToCollect = (): void => {
  new ArrayBuffer(pressureBytes).transfer(0);
};

const pressureBytes = 65 * 1024 * 1024;

/**
 * To be called before anything is compiled. As long as no buffer was ever detached V8 compiles accesses to typed arrays without a look whether
 * theirs is; at the first one it throws all of that away, at once: some seconds into its work a shard would run
 * several times slower for half a second. Memory that is given back is detached (arena.ts), so it happens anyhow.
 */
export const expectDetached = (): void => {
  new ArrayBuffer(1).transfer(0);
};
