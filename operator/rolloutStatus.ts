import { counted, several } from "./plan/events.ts";
import type { Rollout } from "./plan/model.ts";
import type { Condition } from "./shardCluster.ts";

/** What people are told of a rolling change. Pure. */

/** Its part in condition Progressing; null where none is under way. */
export const rollingOut = (rollout: Rollout | null): Condition | null => {
  if (rollout === null) return null;
  const { done, pods, under, stuck } = rollout;
  const soFar = `${done} of ${counted(pods, "pod")} ${done === 1 ? "is" : "are"} as the template is now`;
  if (stuck !== null) {
    const message = `${soFar}; it stops at ${stuck.pod}`;
    return { type: "Progressing", status: "False", reason: "RolloutStuck", message };
  }
  const waiting = under.length === 0 ? "waiting until every shard is in sync" : `now ${several(under)}`;
  return { type: "Progressing", status: "True", reason: "RollingOut", message: `${soFar}; ${waiting}` };
};

/** Its part in condition Degraded; null where it goes on. */
export const rolloutStuck = (rollout: Rollout | null): Condition | null => {
  const stuck = rollout?.stuck ?? null;
  if (stuck === null) return null;
  const { pod, problem } = stuck;
  const message = `${pod} was made anew from the changed template and does not come up: ${problem}; no other pod is touched until it does or the template is changed again`;
  return { type: "Degraded", status: "True", reason: "RolloutStuck", message };
};

/** `5/6`: pods that are as they are wanted, of all. */
export const upToDate = (rollout: Rollout | null, pods: number): string =>
  rollout === null ? `${pods}/${pods}` : `${rollout.done}/${rollout.pods}`;
