/** Median, 99th percentile and maximum of samples, with two decimals. */
export const spread = (samples: readonly number[], what: string): string => {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (q: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN).toFixed(2);
  return `p50 ${at(0.5)}  p99 ${at(0.99)}  max ${at(1)}  (${sorted.length} ${what})`;
};
