import { randomBytes } from "node:crypto";
import { systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import { createLogger, type Logger } from "../core/logger.ts";
import { systemNetwork } from "../net/network.ts";
import { operatorConfig, type OperatorConfig } from "./config.ts";
import { createApi, loadKubeConfig } from "./kubernetes/api.ts";
import { acquireLease } from "./kubernetes/lease.ts";
import { createKubernetesPlatform } from "./kubernetes/platform.ts";
import { startOperator } from "./operator.ts";

/**
 * The operator in a cluster: opens its ports, stands by until it holds the Lease, then leads until it is told to end or has
 * lost the Lease. It never goes back to standing by: a new process begins with nothing believed.
 */
const run = async (config: OperatorConfig, logger: Logger, ending: AbortSignal): Promise<void> => {
  const clock = systemClock;
  const random = (): number => randomBytes(4).readUInt32BE() / 2 ** 32;
  const api = createApi(loadKubeConfig());
  const { pod, podAddress, namespace, infoPort, httpPort } = config;
  const platform = createKubernetesPlatform({
    ...{ api, namespace, pod, clock, random, logger },
    surroundings: { image: config.image, infoUrl: config.infoUrl },
  });
  const self = { pod, incarnation: randomBytes(8).toString("hex") };
  const host = podAddress.includes(":") ? `[${podAddress}]` : podAddress;
  const operator = await startOperator({
    ...{ platform, self, infoPort, httpPort, network: systemNetwork, clock, logger, random },
    host: podAddress.includes(":") ? "::" : "0.0.0.0",
  });
  try {
    const leadership = await acquireLease(
      {
        ...{ api, pod, clock, logger },
        namespace: config.ownNamespace,
        name: config.leaseName,
        address: { info: `ws://${host}:${infoPort}`, http: `http://${host}:${httpPort}` },
        follow: operator.follow,
      },
      ending,
    );
    await operator
      .lead(leadership.term, AbortSignal.any([ending, leadership.lost]))
      .finally(leadership.release);
    if (!ending.aborted) throw new Error("Lost the lease: another operator leads");
  } finally {
    await operator.close();
  }
};

const main = async (): Promise<void> => {
  const config = operatorConfig(process.env);
  const logger = createLogger(config.logLevel, { pod: config.pod });
  const ending = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      logger.info({ signal }, "ending");
      ending.abort();
    });
  }
  try {
    logger.info({ namespace: config.namespace, image: config.image }, "operator starts");
    await run(config, logger, ending.signal);
  } catch (error) {
    if (!ending.signal.aborted) throw error;
  }
};

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${JSON.stringify({ level: "error", message: messageOf(error) })}\n`);
    process.exit(1);
  },
);
