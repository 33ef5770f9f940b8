import type { Clock } from "../../core/clock.ts";
import type { Random } from "../support/random.ts";
import type { ProofCluster } from "./cluster.ts";

/** Processes that are killed and stopped at random moments. */
export type Faults = {
  /** How many were carried out, of each kind. */
  readonly done: ReadonlyMap<string, number>;
  /** Carries one out, of a kind and to somebody that the seed says, if there is such a process now; resolves when it is over. */
  readonly strike: () => Promise<void>;
};

export type FaultsOptions = {
  readonly cluster: ProofCluster;
  /** Pods that own a shard, as far as is known. */
  readonly owners: () => readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly say: (text: string) => void;
};

/** As often as they stand here among so many faults: even a short run has each. */
const kinds = [
  { kind: "owner", isKill: true },
  { kind: "owner", isKill: true },
  { kind: "owner", isKill: false },
  { kind: "owner", isKill: false },
  { kind: "reader", isKill: true },
  { kind: "reader", isKill: false },
  { kind: "operator", isKill: true },
  { kind: "operator", isKill: false },
] as const;

/** Around the lease of two seconds, on both sides. */
const stopMsLeast = 300;
const stopMsMore = 5_000;
/** Before another operator is started. */
const operatorAwayMsMax = 3_000;

export const createFaults = ({ cluster, owners, clock, random, say }: FaultsOptions): Faults => {
  const done = new Map<string, number>();
  /** What is still to be drawn before all begins anew. */
  const deck: (typeof kinds)[number][] = [];
  const strike = async (): Promise<void> => {
    if (deck.length === 0) deck.push(...kinds);
    const [drawn = kinds[0]] = deck.splice(random.below(deck.length), 1);
    const { kind, isKill } = drawn;
    const ms = stopMsLeast + random.below(stopMsMore);
    const awayMs = random.below(operatorAwayMsMax);
    const owning = owners();
    const pods = kind === "owner" ? owning : cluster.pods().filter((pod) => !owning.includes(pod));
    const pod = kind === "operator" || pods.length === 0 ? "" : random.pick(pods);
    const pid = kind === "operator" ? cluster.operatorPid() : cluster.pid(pod);
    if (pid === null || !signal(pid, isKill ? "SIGKILL" : "SIGSTOP")) {
      deck.push(drawn);
      return;
    }
    const what = `${kind} ${isKill ? "killed" : "stopped"}`;
    done.set(what, (done.get(what) ?? 0) + 1);
    say(`${what}${pod === "" ? "" : ` (${pod})`}${isKill ? "" : ` for ${ms} ms`}`);
    if (!isKill) {
      await clock.sleep(ms);
      signal(pid, "SIGCONT");
    } else if (kind === "operator") {
      await clock.sleep(awayMs);
      cluster.startOperator();
    }
  };
  return { done, strike };
};

/** False where there is no such process any more. */
const signal = (pid: number, name: NodeJS.Signals): boolean => {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
};
