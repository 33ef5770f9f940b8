/**
 * What the peers of one port have not taken yet, all together, with a maximum: beyond it the one that owes most is cut off.
 * Thus many who ask and do not read hold no more memory than a few.
 */
export type Unsent = {
  /** Opens the account of one connection; `cut` drops it at once, with what waits for it. */
  readonly open: (cut: () => void) => Account;
  readonly bytes: () => number;
};

export type Account = {
  /** So many bytes wait for the peer now. */
  readonly set: (bytes: number) => void;
  /** The connection is gone. */
  readonly close: () => void;
};

export const createUnsent = (bytesMax: number): Unsent => {
  const accounts = new Set<{ bytes: number; readonly cut: () => void }>();
  let total = 0;
  const cutWorst = (): void => {
    let worst: { bytes: number; readonly cut: () => void } | undefined;
    for (const account of accounts) if (worst === undefined || account.bytes > worst.bytes) worst = account;
    if (worst === undefined) return;
    accounts.delete(worst);
    total -= worst.bytes;
    worst.bytes = 0;
    worst.cut();
  };
  return {
    bytes: () => total,
    open: (cut) => {
      const account = { bytes: 0, cut };
      accounts.add(account);
      return {
        set: (bytes) => {
          if (bytes === account.bytes || !accounts.has(account)) return;
          total += bytes - account.bytes;
          account.bytes = bytes;
          if (total > bytesMax) cutWorst();
        },
        close: () => {
          if (accounts.delete(account)) total -= account.bytes;
        },
      };
    },
  };
};
