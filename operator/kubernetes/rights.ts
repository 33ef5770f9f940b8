import { group } from "../schema.ts";
import { shardClusters, shardTopologies } from "./crds.ts";

/** A rule of RBAC. */
export type Right = {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
};

/** All that the operator does where ShardClusters are: what is not here it does not do. */
export const rights: readonly Right[] = [
  { apiGroups: [group], resources: [shardClusters.plural], verbs: ["get", "list", "watch"] },
  { apiGroups: [group], resources: [`${shardClusters.plural}/status`], verbs: ["patch"] },
  // Owner references that block deletion need this where OwnerReferencesPermissionEnforcement is on.
  { apiGroups: [group], resources: [`${shardClusters.plural}/finalizers`], verbs: ["update"] },
  { apiGroups: [group], resources: [shardTopologies.plural], verbs: ["get", "create", "update", "delete"] },
  { apiGroups: ["apps"], resources: ["statefulsets"], verbs: ["list", "watch", "create", "patch"] },
  { apiGroups: [""], resources: ["services"], verbs: ["list", "watch", "create", "patch"] },
  {
    apiGroups: ["policy"],
    resources: ["poddisruptionbudgets"],
    verbs: ["list", "watch", "create", "patch", "delete"],
  },
  { apiGroups: [""], resources: ["pods"], verbs: ["list", "watch", "patch", "delete"] },
  { apiGroups: [""], resources: ["secrets"], verbs: ["get", "create"] },
  { apiGroups: [""], resources: ["events"], verbs: ["create", "patch"] },
];

/** Of the whole cluster, and not needed: nodes tell the zones, and which of them are out of service. */
export const nodeRights: readonly Right[] = [
  { apiGroups: [""], resources: ["nodes"], verbs: ["list", "watch"] },
];

/** In the operator's own namespace: who leads. */
export const leaseRights: readonly Right[] = [
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get", "create", "update"] },
];
