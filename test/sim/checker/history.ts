/** One operation as its client saw it. */
export type Operation = {
  /** Of the client's process; one that does not know what became of a write goes on under another number. */
  readonly process: number;
  readonly op: "get" | "set" | "del" | "incr" | "cas";
  readonly key: string;
  /** What was to be written; of an increment by how much. */
  readonly value?: string;
  /** Of cas: what had to be there. */
  readonly expect?: string;
  /** What came back: a get's value, an increment's sum, whether a cas was applied or a del found something (`true`, `false`); null: nothing there. */
  readonly result?: string | null;
  readonly level?: "linearizable" | "session" | "eventual";
  /** Nanoseconds of one monotonic clock, for all clients. */
  readonly invokeNs: number;
  readonly completeNs: number;
  /** fail: it was certainly not carried out. */
  readonly outcome: "ok" | "fail" | "unknown";
  readonly epoch?: number;
  readonly version?: number;
};
export type History = readonly Operation[];

export type Violation = { readonly kind: string; readonly key: string; readonly what: string };

export const isWrite = ({ op }: Operation): boolean => op !== "get";

export const byKey = (history: History): ReadonlyMap<string, History> => Map.groupBy(history, ({ key }) => key);

/** One line of a history file. */
export const lineOf = (operation: Operation): string => `${JSON.stringify(operation)}\n`;

export const inWords = ({ op, key, value, expect, result, level, outcome, process, ...rest }: Operation): string => {
  const asked = [op, key, expect, value].filter((part) => part !== undefined).join(" ");
  const place = rest.epoch === undefined ? "" : ` at (${rest.epoch}, ${rest.version ?? 0})`;
  const ms = `${(rest.invokeNs / 1e6).toFixed(3)}–${(rest.completeNs / 1e6).toFixed(3)} ms`;
  return `#${process} ${level === undefined ? "" : `${level} `}${asked} → ${outcome}${result === undefined ? "" : ` ${String(result)}`}${place}, ${ms}`;
};
