import { randomBytes } from "node:crypto";
import { systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import { createLogger, type Logger } from "../core/logger.ts";
import { systemNetwork } from "../net/network.ts";
import { operatorConfig, type OperatorConfig } from "./config.ts";
import { createApi, loadKubeConfig } from "./kubernetes/api.ts";
import { createKubernetesPlatform } from "./kubernetes/platform.ts";
import { runOperator } from "./run.ts";

const run = async (config: OperatorConfig, logger: Logger, ending: AbortSignal): Promise<void> => {
  const clock = systemClock;
  const random = (): number => randomBytes(4).readUInt32BE() / 2 ** 32;
  const api = createApi(loadKubeConfig());
  const { pod, podAddress, namespace, infoPort, httpPort } = config;
  const platform = createKubernetesPlatform({
    ...{ api, namespace, pod, clock, random, logger },
    surroundings: { image: config.image, infoUrl: config.infoUrl },
  });
  const host = podAddress.includes(":") ? `[${podAddress}]` : podAddress;
  await runOperator(
    {
      ...{ platform, api, infoPort, httpPort, network: systemNetwork, clock, logger, random },
      self: { pod, incarnation: randomBytes(8).toString("hex") },
      host: podAddress.includes(":") ? "::" : "0.0.0.0",
      lease: {
        namespace: config.ownNamespace,
        name: config.leaseName,
        address: { info: `ws://${host}:${infoPort}`, http: `http://${host}:${httpPort}` },
      },
    },
    ending,
  );
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
