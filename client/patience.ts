import type { Epoch, ShardId } from "../core/ids.ts";
import { unsentBytesSoftMax } from "../core/limits.ts";
import { cannotReach, type Line } from "./connection.ts";
import { isWrite, type Operation } from "./operation.ts";

/** How long one waits for a pod that owes answers. */

/** A large frame takes its time, in either direction: as long as its bytes move, the pod is not silent. */
const listen = (line: Line): void => {
  const { connection } = line;
  if (connection === undefined) return;
  const received = connection.receivedBytes();
  const isMoving = received !== line.received || connection.unsentBytes() > unsentBytesSoftMax;
  line.received = received;
  if (isMoving) line.heardMs = line.options.clock.nowMs();
};

/** Reads that have waited for `forMs` fail here, so that another pod can be asked. */
export const giveUpReads = (line: Line, forMs: number): void => {
  const { clock, failed, member } = line.options;
  listen(line);
  const beforeMs = clock.nowMs() - forMs;
  // In the middle of a large answer the others wait behind it, as they would anywhere.
  const isAmidLarge = line.received - line.receivedWhole > unsentBytesSoftMax;
  if (line.heardMs > beforeMs && isAmidLarge) return;
  const given: Operation[] = [];
  for (const frame of line.outstanding) {
    if (frame.sentMs > beforeMs) break;
    given.push(...frame.operations.filter((read) => read.frame === frame && isRead(read)));
  }
  for (const group of line.groups) {
    if (group.sinceMs > beforeMs) break;
    given.push(...group.operations.filter((read) => !read.finished && isRead(read)));
    group.operations = group.operations.filter((read) => !isRead(read));
  }
  if (given.length === 0) return;
  const error = cannotReach(line, `it did not answer within ${forMs} ms`);
  for (const operation of given) failed(operation, { error, sent: operation.frame !== null, member });
};

/** Whether requests are out and nothing was heard for `forMs`. */
export const isSilent = (line: Line, forMs: number): boolean => {
  listen(line);
  const { outstanding, heardMs, options } = line;
  const [oldest] = outstanding;
  const beforeMs = options.clock.nowMs() - forMs;
  return oldest !== undefined && oldest.sentMs < beforeMs && heardMs < beforeMs;
};

/** What was asked of an epoch that is over, and has waited for `forMs`, fails here. */
export const giveUpOvertaken = (
  line: Line,
  isOver: (shard: ShardId, epoch: Epoch) => boolean,
  forMs: number,
): void => {
  const { clock, failed, member } = line.options;
  const beforeMs = clock.nowMs() - forMs;
  const given: Operation[] = [];
  for (const frame of line.outstanding) {
    if (frame.sentMs > beforeMs) break;
    if (isOver(frame.shard, frame.epoch))
      given.push(...frame.operations.filter((operation) => operation.frame === frame));
  }
  if (given.length === 0) return;
  const error = cannotReach(line, `it did not answer within ${forMs} ms, and another pod owns the shard now`);
  for (const operation of given) failed(operation, { error, sent: true, member });
};

const isRead = (operation: Operation): boolean => !isWrite(operation);
