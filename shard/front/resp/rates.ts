import type { RespCounters } from "./server.ts";

/** What went through in the last one and a half seconds, as Redis counts it: samples of a tenth of a second. */
export type Rates = {
  readonly sample: (counters: RespCounters, nowMs: number) => void;
  readonly perSecond: () => Rate;
};
type Rate = { readonly commands: number; readonly inputBytes: number; readonly outputBytes: number };
type Sample = Rate & { readonly atMs: number };

const samplesMax = 16;

export const createRates = (): Rates => {
  const samples: Sample[] = [];
  return {
    sample: ({ commands, inputBytes, outputBytes }, nowMs) => {
      samples.push({ commands, inputBytes, outputBytes, atMs: nowMs });
      if (samples.length > samplesMax) samples.shift();
    },
    perSecond: () => {
      const [first, last] = [samples[0], samples.at(-1)];
      const seconds = first === undefined || last === undefined ? 0 : (last.atMs - first.atMs) / 1000;
      const rate = (of: (sample: Sample) => number): number =>
        first === undefined || last === undefined || seconds === 0
          ? 0
          : Math.max(0, (of(last) - of(first)) / seconds);
      return {
        commands: rate(({ commands }) => commands),
        inputBytes: rate(({ inputBytes }) => inputBytes),
        outputBytes: rate(({ outputBytes }) => outputBytes),
      };
    },
  };
};
