import { abortWith } from "../core/abort.ts";
import type { Api } from "./kubernetes/api.ts";
import { acquireLease, type LeaderAddress, type LeaseTimes } from "./kubernetes/lease.ts";
import { startOperator, type OperatorOptions } from "./operator.ts";

export type RunOptions = OperatorOptions & {
  /** For the Lease. */
  readonly api: Api;
  readonly lease: {
    readonly namespace: string;
    readonly name: string;
    /** Where this process is found, once it leads. */
    readonly address: LeaderAddress;
    readonly times?: LeaseTimes;
  };
};

/**
 * The operator in a cluster: opens its ports, stands by until it holds the Lease, then leads until it is told to end or has
 * lost the Lease. It never goes back to standing by: a new process begins with nothing believed.
 */
export const runOperator = async (options: RunOptions, ending: AbortSignal): Promise<void> => {
  const { api, lease, self, clock, logger } = options;
  const operator = await startOperator(options);
  try {
    const { follow } = operator;
    const leadership = await acquireLease({ ...lease, api, pod: self.pod, clock, logger, follow }, ending);
    const leading = new AbortController();
    for (const signal of [ending, leadership.lost]) abortWith(leading, signal);
    await operator.lead(leadership, leading.signal).finally(leadership.release);
    if (!ending.aborted) throw new Error("Lost the lease: another operator leads");
  } finally {
    await operator.close();
  }
};
