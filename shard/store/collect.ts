/**
 * Asks V8 to find and give back memory outside its heap that nothing names any more, soon and in small steps. It looks for such
 * when ordinary buffers have grown by 64 MiB since it looked last: this one has that size, is never touched, so that it takes no memory,
 * and is gone at once.
 */
export const askToCollect = (): void => {
  new ArrayBuffer(pressureBytes).transfer(0);
};

const pressureBytes = 65 * 1024 * 1024;
