import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Client, Member, Shard, Topology } from "../client/index.ts";
import { systemClock } from "../core/clock.ts";
import { EdisError } from "../core/errors.ts";
import type { Shell } from "./commands.ts";
import { exitCodes } from "./exit.ts";

const stateDefault = ".edis";
const lookMs = 50;

/** Says what another owner for a shard would mean and, by force, asks for one. */
export const failover = async (
  shell: Shell,
  number: number,
  { force, state = stateDefault }: { readonly force?: true; readonly state?: string },
): Promise<number> => {
  const client = await shell.client();
  const topology = client.topology();
  const shard = topology.shards[number];
  if (shard === undefined) {
    const known = `0 to ${topology.shards.length - 1}`;
    throw new EdisError(
      "bad-argument",
      `Cannot find shard ${number} of ${topology.cluster}: its shards are ${known}`,
    );
  }
  shell.output.write(outlook(topology, shard));
  if (force !== true) return exitCodes.ok;
  const word = `${shard.id}@${shard.epoch}`;
  const folder = join(state, topology.cluster);
  if (!existsSync(join(folder, "topology.json"))) {
    shell.output.write(
      `There is no cluster of edis up in ${state}, so this one runs in Kubernetes. To do it, run:\n  ${annotate(topology, word)}\n`,
    );
    return exitCodes.ok;
  }
  writeFileSync(join(folder, "force"), `${word}\n`, { mode: 0o600 });
  return waitForOwner(shell, client, shard);
};

const annotate = ({ cluster }: Topology, word: string): string => {
  const [namespace = "", name = ""] = cluster.split("/");
  return `kubectl annotate shardcluster -n ${namespace} ${name} edis.dev/force-failover=${word} --overwrite`;
};

/** Where a shard stands, and what giving it another owner would mean. For people. */
export const outlook = (topology: Topology, shard: Shard): string => {
  const { id, epoch, owner, phase, inSync } = shard;
  const isThere = isConnected(topology, owner);
  const others = topology.members.filter((member) => member.shard === id && member.pod !== owner?.pod);
  const inSyncThere = others.filter(({ pod }) => inSync.includes(pod));
  const missing = inSync.filter((pod) => !others.some((member) => member.pod === pod));
  const lines = [
    `shard ${id}: epoch ${epoch}, owner ${owner === null ? "none yet" : `${owner.pod}${isThere ? "" : " (away)"}`}, ${phaseText(shard)}`,
    `in sync: ${listed(inSyncThere)}${missing.length === 0 ? "" : `; away: ${missing.join(", ")}`}`,
    `other copies: ${listed(others.filter((member) => !inSyncThere.includes(member)))}`,
  ];
  if (phase.kind !== "stable")
    return `${[...lines, "It is changing hands now: wait for that."].join("\n")}\n`;
  if (inSyncThere.length > 0) {
    const what = isThere
      ? "Its owner is there. Should it go, one of those in sync takes over by itself, and nothing acknowledged is lost (acks: inSync), or at most the last moments (acks: owner)."
      : "One of those in sync takes over by itself.";
    return `${[...lines, what].join("\n")}\n`;
  }
  const [state, waits] = isThere
    ? ["Its owner is there, and no other copy is in sync", "nothing has to be done"]
    : ["No copy in sync is within reach", "it waits for the pods that are away"];
  const meaning = `${state}: ${waits}. With --force the copy that is furthest ahead takes over, and what only the others hold is lost.`;
  return `${[...lines, meaning].join("\n")}\n`;
};

const phaseText = ({ phase }: Shard): string => {
  switch (phase.kind) {
    case "stable":
      return "at rest";
    case "fencing":
      return "a new owner is being chosen";
    case "handover":
      return `being handed over to ${phase.to.pod}`;
  }
};

const listed = (members: readonly Member[]): string =>
  members.length === 0
    ? "none"
    : members.map(({ pod, state }) => (state === "serving" ? pod : `${pod} (${state})`)).join(", ");

const isConnected = ({ members }: Topology, owner: Shard["owner"]): boolean =>
  owner !== null &&
  members.some(({ pod, incarnation }) => pod === owner.pod && incarnation === owner.incarnation);

const waitForOwner = async ({ output, settings }: Shell, client: Client, before: Shard): Promise<number> => {
  const startMs = systemClock.nowMs();
  while (systemClock.nowMs() - startMs < settings.timeoutMs) {
    const now = client.topology().shards[before.id];
    if (now !== undefined && now.epoch > before.epoch && now.owner !== null) {
      output.write(`${now.owner.pod} owns shard ${now.id} from epoch ${now.epoch} on.\n`);
      return exitCodes.ok;
    }
    await systemClock.sleep(lookMs);
  }
  throw new EdisError(
    "timeout",
    `Cannot tell yet who owns shard ${before.id}: nobody has taken over within ${settings.timeoutMs} ms; the word stands, see edis topology`,
  );
};
