import * as v from "valibot";

/** What the operator is told by its environment (EDIS_*). */
export type OperatorConfig = {
  /** Name and address of this pod. */
  readonly pod: string;
  readonly podAddress: string;
  /** Where the Lease is kept: the operator's own namespace. */
  readonly ownNamespace: string;
  readonly leaseName: string;
  /** The namespace whose ShardClusters are served; empty: all. */
  readonly namespace: string;
  /** Image of shards where a ShardCluster names none. */
  readonly image: string;
  /** Where shards find info: the operator's Service. */
  readonly infoUrl: string;
  readonly infoPort: number;
  readonly httpPort: number;
  readonly logLevel: string;
};

const needed = v.pipe(v.string("is missing"), v.nonEmpty("is empty"));
const port = (otherwise: string) =>
  v.pipe(
    v.optional(v.string(), otherwise),
    v.regex(/^[0-9]+$/, "is not a number"),
    v.transform(Number),
    v.maxValue(65_535, "is not a port"),
  );
const environment = v.object({
  EDIS_POD: needed,
  EDIS_POD_IP: needed,
  EDIS_POD_NAMESPACE: needed,
  EDIS_LEASE: v.optional(needed, "edis-operator"),
  EDIS_NAMESPACE: v.optional(v.string(), ""),
  EDIS_IMAGE: needed,
  EDIS_INFO: v.pipe(needed, v.regex(/^wss?:\/\//, "is not a ws:// url")),
  EDIS_INFO_PORT: port("7378"),
  EDIS_HTTP_PORT: port("8080"),
  EDIS_LOG_LEVEL: v.optional(
    v.picklist(["debug", "info", "warn", "error", "silent"], "is none of debug, info, warn, error, silent"),
    "info",
  ),
});

/** Reads the environment. Throws with the variable's name and what is wrong with it. */
export const operatorConfig = (env: NodeJS.ProcessEnv): OperatorConfig => {
  const parsed = v.safeParse(environment, env);
  if (!parsed.success) {
    const wrong = parsed.issues.map((issue) => `${v.getDotPath(issue) ?? ""} ${issue.message}`).join("; ");
    throw new Error(`Cannot start the operator: ${wrong}`);
  }
  const read = parsed.output;
  return {
    pod: read.EDIS_POD,
    podAddress: read.EDIS_POD_IP,
    ownNamespace: read.EDIS_POD_NAMESPACE,
    leaseName: read.EDIS_LEASE,
    namespace: read.EDIS_NAMESPACE,
    image: read.EDIS_IMAGE,
    infoUrl: read.EDIS_INFO,
    infoPort: read.EDIS_INFO_PORT,
    httpPort: read.EDIS_HTTP_PORT,
    logLevel: read.EDIS_LOG_LEVEL,
  };
};
