/** How often each command was called, by its name. */
export type Calls = {
  readonly count: (name: string) => void;
  readonly all: () => readonly { readonly name: string; readonly calls: number }[];
  readonly reset: () => void;
};

type Count = { readonly name: string; calls: number };

export const createCalls = (): Calls => {
  const counts = new Map<string, Count>();
  // One command is mostly followed by another of its kind.
  let last: Count = { name: "", calls: 0 };
  return {
    count: (name) => {
      if (name !== last.name) {
        last = counts.get(name) ?? { name, calls: 0 };
        counts.set(name, last);
      }
      last.calls++;
    },
    all: () => [...counts.values()],
    reset: () => {
      counts.clear();
      last = { name: "", calls: 0 };
    },
  };
};
