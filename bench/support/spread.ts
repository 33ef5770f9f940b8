/** Median, 99th percentile and maximum of samples, with two decimals. */
export const spread = (samples: readonly number[], what: string): string => {
  const at = (q: number): string => quantile(samples, q).toFixed(2);
  return `p50 ${at(0.5)}  p99 ${at(0.99)}  max ${at(1)}  (${samples.length} ${what})`;
};

/** NaN where there are no samples. */
export const quantile = (samples: readonly number[], q: number): number => {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN;
};

export const median = (samples: readonly number[]): number => {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
};

/** `1.31 (1.22–1.40)`: the median, the least and the most. */
export const medianText = (samples: readonly number[], digits: number): string => {
  if (samples.length === 0) return "–";
  const text = (n: number): string => n.toFixed(digits);
  if (samples.length === 1) return text(median(samples));
  return `${text(median(samples))} (${text(Math.min(...samples))}–${text(Math.max(...samples))})`;
};
