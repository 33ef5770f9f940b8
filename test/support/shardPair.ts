import type { Address } from "../../core/topology.ts";
import { shardOwnedBy, startTestInfo, type TestInfo } from "./shardInfo.ts";
import { startProxy, type Proxy } from "./shardProxy.ts";
import { startShardProcess, type ShardProcess } from "./shardProcess.ts";

/** A writer that owns shard 0 and a reader that follows it, as real processes. */
export type ShardPair = {
  readonly info: TestInfo;
  readonly writer: ShardProcess;
  readonly reader: ShardProcess;
  /** The link on which the reader reaches the writer. */
  readonly link: Proxy;
  readonly writerAddress: Address;
  readonly readerAddress: Address;
  readonly stop: () => Promise<void>;
};

export const writerPodName = "demo-write-0";
export const readerPodName = "demo-read-0";

export const startPair = async (
  env: Readonly<Record<string, string>> = {},
  nodeArguments: readonly string[] = [],
): Promise<ShardPair> => {
  const info = await startTestInfo();
  const common = { info: info.url, env, nodeArguments };
  const writer = startShardProcess({ role: "writer", pod: writerPodName, ...common });
  const reader = startShardProcess({ role: "reader", pod: readerPodName, ...common });
  const owner = await info.registered(writerPodName);
  await info.registered(readerPodName);
  const link = await startProxy(addressOf(info, writerPodName).replication);
  info.replicationVia(writerPodName, link.port);
  info.publish([shardOwnedBy(owner)], { [readerPodName]: 0 });
  await info.reported(writerPodName, ({ serving }) => serving.kind === "owner");
  await streaming(info);
  return {
    ...{ info, writer, reader, link },
    writerAddress: addressOf(info, writerPodName),
    readerAddress: addressOf(info, readerPodName),
    stop: async () => {
      await Promise.all([writer.kill(), reader.kill(), info.close(), link.close()]);
    },
  };
};

export const streaming = async (info: TestInfo, pod = readerPodName): Promise<void> => {
  await info.reported(pod, ({ serving }) => serving.kind === "reader" && serving.state === "streaming");
};

export const addressOf = (info: TestInfo, pod: string): Address => {
  const address = info.sessions.get(pod)?.register?.address;
  if (address === undefined) throw new Error(`${pod} is not registered`);
  return address;
};

/** One figure of a process's /metrics; `labels` as they are printed, with braces. 0 where it is not there. */
export const metric = async ({ host, http }: Address, name: string, labels = ""): Promise<number> => {
  const page = await (await fetch(`http://${host}:${http}/metrics`)).text();
  const line = page.split("\n").find((one) => one.startsWith(`${name}${labels} `));
  return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(" ") + 1));
};
