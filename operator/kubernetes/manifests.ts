import { stringify } from "yaml";
import { shardClusterCrd, shardTopologyCrd, type Manifest } from "./crds.ts";
import { operatorManifests } from "./operatorManifests.ts";
import { leaseRights, nodeRights, rights } from "./rights.ts";

/** Image of the one-file manifest and of the samples: what `make image` makes. */
export const defaultImage = "edis:dev";

const crds = [shardClusterCrd, shardTopologyCrd];
const printed = "# Printed by `make manifests` from operator/kubernetes: change it there.\n";

/** Every file that is printed from its source in TypeScript, by path from the project's folder. */
export const manifestFiles = (): Readonly<Record<string, string>> => {
  const [namespace, ...others] = operatorManifests(defaultImage);
  return {
    "k8s/crds.yaml": printed + documents(crds),
    "k8s/edis.yaml":
      printed + documents([...(namespace === undefined ? [] : [namespace]), ...crds, ...others]),
    "charts/edis/files/crds.yaml": printed + documents(crds.map(keptByHelm)),
    "charts/edis/files/rights.yaml": printed + yaml(rights),
    "charts/edis/files/nodeRights.yaml": printed + yaml(nodeRights),
    "charts/edis/files/leaseRights.yaml": printed + yaml(leaseRights),
  };
};

/** Uninstalling the operator must not delete every store: with a CRD go all its objects. */
const keptByHelm = (crd: Manifest): Manifest => ({
  ...crd,
  metadata: { ...crd.metadata, annotations: { "helm.sh/resource-policy": "keep" } },
});

const documents = (objects: readonly Manifest[]): string =>
  objects.map((object) => yaml(object)).join("---\n");
const yaml = (value: unknown): string => stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
