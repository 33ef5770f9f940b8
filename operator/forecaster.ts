import type { Clock } from "../core/clock.ts";
import { EdisError, messageOf } from "../core/errors.ts";
import { shardsMax } from "../core/ids.ts";
import { readersMax } from "../core/limits.ts";
import type { Forecast, PlanAsked } from "../core/tools.ts";
import { readObject } from "./clusterObject.ts";
import { forecast } from "./plan/forecast.ts";
import type { Observed } from "./plan/model.ts";
import type { Platform } from "./platform.ts";
import { brokenRules, isFields, type Fields } from "./rules.ts";
import { clusterFrom } from "./schema.ts";
import { keyOf, type ShardCluster } from "./shardCluster.ts";

/** What is known of a cluster now, and at how many bytes per second slots moved last; null where none did. */
export type Look = { readonly observed: Observed; readonly measured: number | null };

export type ForecasterOptions = {
  readonly platform: Pick<Platform, "remade">;
  readonly clock: Pick<Clock, "nowMs">;
  /** Null where nothing is known of it yet. */
  readonly look: (key: string) => Look | null;
};

/** So much of its time goes into questions at most: one part of this many. They come from anybody. */
const restShare = 9;
const restMsMin = 20;

/** Tells what a change would do, by the plan itself. Throws `bad-argument` for what is no ShardCluster, `too-busy`, or `try-again`. */
export const createForecaster = ({
  platform,
  clock,
  look,
}: ForecasterOptions): ((key: string, asked: PlanAsked) => Forecast) => {
  let restsUntilMs = -Infinity;
  return (key, asked) => {
    const startMs = clock.nowMs();
    if (startMs < restsUntilMs)
      throw new EdisError("too-busy", "Cannot plan: others have asked just now; retry in a moment");
    try {
      const known = look(key);
      if (known === null)
        throw new EdisError(
          "try-again",
          `Cannot plan for ${key} yet: nothing is known of it; retry in a moment`,
        );
      const { cluster } = known.observed;
      const wished = wishOf(cluster, asked);
      return forecast({ ...known, wished, remade: platform.remade(cluster, wished) });
    } finally {
      const endMs = clock.nowMs();
      restsUntilMs = endMs + Math.max(restMsMin, (endMs - startMs) * restShare);
    }
  };
};

const wishOf = (cluster: ShardCluster, { object, writers, readers }: PlanAsked): ShardCluster => {
  const base = object === "" ? cluster : clusterIn(object, cluster);
  const { spec } = base;
  const wished: ShardCluster = {
    ...base,
    spec: { ...spec, writers: writers ?? spec.writers, readers: readers ?? spec.readers },
  };
  checkCount("writers", wished.spec.writers, [1, shardsMax]);
  checkCount("readers", wished.spec.readers, [0, readersMax]);
  const [broken] = brokenRules(fieldsOf(wished), fieldsOf(cluster));
  if (broken !== undefined) throw notThis(broken.message);
  return wished;
};

const clusterIn = (text: string, now: ShardCluster): ShardCluster => {
  const { object, faults } = readObject(jsonIn(text), () => fieldsOf(now));
  if (object === null) throw notThis(faults.map(({ message }) => message).join("; "));
  const { namespace, name, uid, generation } = now;
  if (keyOf(object.metadata) !== keyOf(now))
    throw notThis(`it is ${keyOf(object.metadata)}, and this is asked of ${keyOf(now)}`);
  const wished = clusterFrom({ ...object, metadata: { namespace, name, uid, generation } });
  return { ...wished, force: now.force };
};

const jsonIn = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw notThis(`it is not JSON: ${messageOf(error)}`);
  }
};

/** As an API object, in which what says nothing is not there. */
const fieldsOf = ({ namespace, name, spec }: ShardCluster): Fields => ({
  metadata: { namespace, name },
  spec: withoutNothing(spec),
});
const withoutNothing = (part: object): Fields =>
  Object.fromEntries(
    Object.entries(part)
      .filter(([, value]) => value !== "" && value !== null)
      .map(([name, value]: [string, unknown]) => [name, isFields(value) ? withoutNothing(value) : value]),
  );

const checkCount = (what: string, n: number, [least, most]: readonly [number, number]): void => {
  if (n >= least && n <= most) return;
  throw notThis(`${what} is ${n}; wanted is ${least} to ${most}`);
};

const notThis = (why: string): EdisError =>
  new EdisError("bad-argument", `Cannot plan for this ShardCluster: ${why}`);
