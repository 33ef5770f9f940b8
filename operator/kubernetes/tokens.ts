import { randomBytes } from "node:crypto";
import * as v from "valibot";
import { keyOf, type ShardCluster } from "../shardCluster.ts";
import { isStatus, type Api } from "./api.ts";
import { collection } from "./paths.ts";
import { labelsFor, ownerOf, tokenKey, tokenSecret } from "./resources.ts";

const secret = v.object({
  metadata: v.object({ ownerReferences: v.optional(v.array(v.object({ uid: v.string() })), []) }),
  data: v.optional(v.record(v.string(), v.string()), {}),
});

/** The shared secret of each cluster: a Secret, made once and never changed. */
export const createTokens = (api: Api): ((cluster: ShardCluster) => Promise<Uint8Array>) => {
  const known = new Map<string, Uint8Array>();
  return async (cluster) => {
    const kept = known.get(cluster.uid);
    if (kept !== undefined) return kept;
    const token = tokenFrom(await readOrMake(api, cluster), cluster);
    known.set(cluster.uid, token);
    return token;
  };
};

const readOrMake = async (api: Api, cluster: ShardCluster): Promise<unknown> => {
  const { namespace, name } = cluster;
  const secrets = collection("v1", "secrets", namespace);
  const read = (): Promise<unknown> =>
    api.request({ method: "GET", path: `${secrets}/${tokenSecret(name)}` });
  try {
    return await read();
  } catch (error) {
    if (!isStatus(error, 404)) throw error;
  }
  const body = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: tokenSecret(name),
      namespace,
      labels: labelsFor(name),
      ownerReferences: [ownerOf(cluster)],
    },
    type: "Opaque",
    data: { [tokenKey]: randomBytes(32).toString("base64") },
  };
  try {
    return await api.request({ method: "POST", path: secrets, body });
  } catch (error) {
    // Another operator was faster: its token is the one.
    if (isStatus(error, 409)) return read();
    throw error;
  }
};

const tokenFrom = (answer: unknown, cluster: ShardCluster): Uint8Array => {
  const { metadata, data } = v.parse(secret, answer);
  const what = `Secret ${keyOf({ namespace: cluster.namespace, name: tokenSecret(cluster.name) })}`;
  if (!metadata.ownerReferences.some(({ uid }) => uid === cluster.uid)) {
    throw new Error(
      `Cannot use ${what}: it is not of this ShardCluster; where a cluster of that name was just deleted it goes by itself, else delete it`,
    );
  }
  const token = Buffer.from(data[tokenKey] ?? "", "base64");
  if (token.length < 16) throw new Error(`Cannot use ${what}: its key ${tokenKey} holds fewer than 16 bytes`);
  return token;
};
