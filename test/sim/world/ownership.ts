import * as v from "valibot";
import type { Ownership } from "../../../operator/plan/model.ts";
import { ownershipFrom } from "../../../operator/topologySchema.ts";
import type { World } from "./world.ts";

const storedShape = v.object({ spec: v.unknown() });
/** Objects of the API are never changed, but replaced. */
const known = new WeakMap<object, Ownership>();

/** What the API has of the cluster's ownership now. */
export const ownershipOf = (world: World): Ownership | null => {
  const found = [...world.api.objects].find(([path]) => path.includes("/shardtopologies/"));
  if (found === undefined) return null;
  const [, object] = found;
  const ownership = known.get(object) ?? ownershipFrom(v.parse(storedShape, object).spec);
  known.set(object, ownership);
  return ownership;
};
