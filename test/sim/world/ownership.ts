import * as v from "valibot";
import type { Ownership } from "../../../operator/plan/model.ts";
import { ownershipFrom } from "../../../operator/topologySchema.ts";
import type { World } from "./world.ts";

const storedShape = v.object({ spec: v.unknown() });
/** What the API has of the cluster's ownership now. */
export const ownershipOf = (world: World): Ownership | null => {
  const found = [...world.api.objects].find(([path]) => path.includes("/shardtopologies/"));
  return found === undefined ? null : ownershipFrom(v.parse(storedShape, found[1]).spec);
};
