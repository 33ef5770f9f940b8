/** Where an API object of some kind is found, in one namespace (or, with an empty one, in all). */
export const collection = (apiVersion: string, plural: string, namespace: string): string => {
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return namespace === "" ? `${root}/${plural}` : `${root}/namespaces/${namespace}/${plural}`;
};

const plurals: Readonly<Record<string, string>> = {
  Service: "services",
  StatefulSet: "statefulsets",
  PodDisruptionBudget: "poddisruptionbudgets",
};

/** The path of an object that is applied. */
export const pathOf = (object: Located): string => {
  const { name, namespace = "" } = object.metadata;
  const plural = plurals[object.kind];
  if (plural === undefined) throw new Error(`Cannot apply a ${object.kind}: its path is not known`);
  return `${collection(object.apiVersion, plural, namespace)}/${name}`;
};
type Located = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
};
