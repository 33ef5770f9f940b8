import { EdisError } from "../core/errors.ts";
import { epoch, shardId, version, type ShardId } from "../core/ids.ts";
import type { Place } from "../core/request.ts";

/** How far one session has seen each shard of one cluster. A session read is answered from there or later. */
export type Places = {
  readonly of: (clusterId: string, shard: ShardId) => Place;
  /** Goes on to a place that was seen; never back. In a cluster that was made anew it starts from nothing. */
  readonly raise: (clusterId: string, shard: ShardId, place: Place) => void;
  readonly entries: (clusterId: string) => readonly (readonly [ShardId, Place])[];
};

const nowhere: Place = { epoch: epoch(0), version: version(0) };

/** A session that begins at `start`, places of that cluster. */
export const createPlaces = (
  clusterId: string,
  start: readonly (readonly [ShardId, Place])[] = [],
): Places => {
  let id = clusterId;
  let places: (Place | undefined)[] = [];
  const raise: Places["raise"] = (of, shard, place) => {
    if (of !== id) {
      id = of;
      places = [];
    }
    if (comparePlaces(place, places[shard] ?? nowhere) > 0)
      places[shard] = { epoch: place.epoch, version: place.version };
  };
  for (const [shard, place] of start) raise(clusterId, shard, place);
  return {
    of: (of, shard) => (of === id ? (places[shard] ?? nowhere) : nowhere),
    raise,
    entries: (of) =>
      of !== id
        ? []
        : places.flatMap((place, shard) => (place === undefined ? [] : [[shardId(shard), place] as const])),
  };
};

/** Negative where a is before b. */
export const comparePlaces = (a: Place, b: Place): number => a.epoch - b.epoch || a.version - b.version;

/** A session as text that another process can go on from: `1;<cluster id>;<shard>.<epoch>.<version>,…`. */
export const encodeToken = (clusterId: string, places: Places): string =>
  `1;${clusterId};${places
    .entries(clusterId)
    .map(([shard, { epoch, version }]) => `${shard}.${epoch}.${version}`)
    .join(",")}`;

/** Reads a token of this cluster. Throws `bad-argument`. */
export const decodeToken = (clusterId: string, token: string): Places => {
  const [format, id, list, ...rest] = token.split(";");
  if (format !== "1" || id === undefined || list === undefined || rest.length > 0) throw bad(token);
  if (id !== clusterId) {
    throw new EdisError(
      "bad-argument",
      `Cannot go on with a session of cluster ${id}: this is ${clusterId}; start a new session`,
    );
  }
  return createPlaces(clusterId, list === "" ? [] : list.split(",").map((place) => placeIn(place, token)));
};

const placeIn = (text: string, token: string): readonly [ShardId, Place] => {
  const parts = /^(\d{1,4})\.(\d{1,16})\.(\d{1,16})$/.exec(text);
  if (parts === null) throw bad(token);
  try {
    return [
      shardId(Number(parts[1])),
      { epoch: epoch(Number(parts[2])), version: version(Number(parts[3])) },
    ];
  } catch (error) {
    throw bad(token, error);
  }
};

const bad = (token: string, cause?: unknown): EdisError =>
  new EdisError(
    "bad-argument",
    `Cannot read the session token ${JSON.stringify(token.slice(0, 80))}: wanted is what token() gave`,
    { cause },
  );
