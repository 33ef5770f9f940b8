import * as v from "valibot";
import type { Ownership } from "../../../operator/plan/model.ts";
import { ownershipFrom } from "../../../operator/topologySchema.ts";
import type { ApiObject } from "./api.ts";
import type { World } from "./world.ts";

const storedShape = v.object({ spec: v.unknown() });
/** Objects of the API are never changed, but replaced. */
const known = new WeakMap<ApiObject, Ownership>();

/** What a ShardTopology says. */
export const ownershipIn = (object: ApiObject): Ownership => {
  const ownership = known.get(object) ?? ownershipFrom(v.parse(storedShape, object).spec);
  known.set(object, ownership);
  return ownership;
};

/** What the API has of the cluster's ownership now. */
export const ownershipOf = (world: World): Ownership | null => {
  const found = [...world.api.objects].find(([path]) => path.includes("/shardtopologies/"));
  return found === undefined ? null : ownershipIn(found[1]);
};
