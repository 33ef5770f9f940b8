import type { ProcessId } from "../../core/message.ts";
import type { Pod } from "./model.ts";

/**
 * Whether a process is confirmed dead: the platform says so. `pod` is the one that bears its name now, `ended` are the uids of
 * pods that are gone and of which nothing runs. What is merely gone, silent or replaced may still run on a node that is cut off.
 */
export const hasEnded = (
  { uid, startedAtMs }: ProcessId,
  pod: Pod | undefined,
  ended: ReadonlySet<string>,
): boolean => {
  if (uid === "") return false;
  if (ended.has(uid)) return true;
  return pod?.uid === uid && startedAtMs > 0 && startedAtMs < pod.deadBeforeMs;
};
