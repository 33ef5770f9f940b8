import type { Client, Member, Shard, Topology } from "../client/index.ts";
import { urlOf } from "../client/connection.ts";
import { newSelf, silentLogger, systemRandom } from "../client/identity.ts";
import { openPeer, type Peer } from "../client/peer.ts";
import { systemClock as clock } from "../core/clock.ts";
import { EdisError } from "../core/errors.ts";
import { slotCount } from "../core/ids.ts";
import { rangesOf } from "../core/topology.ts";
import { systemNetwork } from "../net/network.ts";
import type { Shell } from "./commands.ts";
import { exitCodes } from "./exit.ts";
import { reportsOf, type Reports } from "./topology.ts";
import { compareSlots, type Compared } from "./verifyShard.ts";
import {
  addTo,
  emptyVerified,
  isSound,
  isWhole,
  shardsIn,
  verifiedText,
  type Verified,
} from "./verifyText.ts";

/** What is compared at a time: a tenth of a second or so of a process that does other things as well. */
const keysAtOnce = 100_000;
const bytesAtOnce = 32 * 1024 * 1024;
const slotsAtOnce = 1_024;
/** Slots that change hands, owners that change: looked at again so often. */
const passesMax = 10;
const restMs = 500;
/** What moved away is deleted in small steps; what is still there after this is a stray. */
const straysMs = 10_000;
const answerMsMin = 10_000;

/** Checks that every key is where the map says, and that all copies of a shard hold the same. */
export const verify = async (shell: Shell): Promise<number> => {
  const { settings, output } = shell;
  const client = await shell.client();
  const run = startRun(client, Math.max(answerMsMin, settings.timeoutMs));
  const showProgress = output.isTerminal && settings.output === "text";
  const verified = emptyVerified(client.topology());
  const stopShowing = showProgress
    ? clock.every(200, () => {
        output.writeError(`\r\u001b[K${verified.slots} of ${slotCount} slots, ${verified.keys} keys`);
      })
    : undefined;
  try {
    await verifySlots(run, verified, await reportsOf(client, settings.timeoutMs));
    await findStrays(run, verified);
  } finally {
    stopShowing?.();
    if (showProgress) output.writeError("\r\u001b[K");
    run.close();
  }
  output.write(
    settings.output === "json" ? `${JSON.stringify(verifiedJson(verified))}\n` : verifiedText(verified),
  );
  if (!isSound(verified)) return exitCodes.no;
  return isWhole(verified) ? exitCodes.ok : exitCodes.unreachable;
};

const verifiedJson = (verified: Verified): unknown => ({
  ...{ sound: isSound(verified), whole: isWhole(verified) },
  ...verified,
  shards: shardsIn(verified).map((shard) => ({ ...shard, copies: [...shard.copies.values()] })),
  problems: [...verified.problems].map(([shard, problem]) => ({ shard, problem })),
});

type Run = {
  readonly topology: () => Topology;
  /** The connection to a process, opened when first needed. */
  readonly peer: (member: Member) => Promise<Peer>;
  readonly close: () => void;
};

const startRun = (client: Client, timeoutMs: number): Run => {
  const ending = new AbortController();
  const peers = new Map<string, Promise<Peer>>();
  const around = {
    network: systemNetwork,
    clock,
    logger: silentLogger,
    random: systemRandom,
    self: newSelf(),
  };
  return {
    topology: client.topology,
    peer: async (member) => {
      const name = `${member.pod} ${member.incarnation}`;
      const known = peers.get(name);
      if (known !== undefined && (await known).isOpen()) return known;
      const { clusterId } = client.topology();
      const opened = openPeer({
        ...{ ...around, signal: ending.signal, timeoutMs },
        ...{ url: urlOf(member.address), cluster: clusterId, to: member.pod },
      });
      peers.set(name, opened);
      opened.catch(() => peers.delete(name));
      return opened;
    },
    close: () => {
      ending.abort();
    },
  };
};

/** All slots, by the map as it is when their turn comes; what changes hands meanwhile once more. */
const verifySlots = async (run: Run, verified: Verified, reports: Reports): Promise<void> => {
  const left = new Set(Array.from({ length: slotCount }, (_, s) => s));
  for (let pass = 0; pass < passesMax && left.size > 0; pass++) {
    if (pass > 0) await clock.sleep(restMs);
    const { shards } = run.topology();
    verified.unowned.splice(0, Infinity, ...unowned(shards));
    await Promise.all(
      shards.map(async (shard) => {
        const mine = slotsOf(shard).filter((s) => left.has(s));
        const atOnce = slotsAtOnceOf(reports, shard);
        for (let at = 0; at < mine.length; at += atOnce) {
          const slots = mine.slice(at, at + atOnce);
          const compared = await compareOf(run, shard, slots).catch(notNow(verified, shard));
          if (compared === null) return;
          addTo(verified, shard, { slots: slots.length, ...compared });
          for (const s of slots) left.delete(s);
        }
        verified.problems.delete(shard.id);
      }),
    );
    for (const s of verified.unowned) left.delete(s);
  }
  verified.unverified.push(...rangesOf([...left].sort((a, b) => a - b)));
};

const notNow =
  ({ problems }: Verified, { id }: Shard) =>
  (error: unknown): null => {
    if (!(error instanceof EdisError)) throw error;
    problems.set(id, error.message);
    return null;
  };

const slotsOf = ({ slots }: Shard): readonly number[] =>
  slots.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i));

const unowned = (shards: readonly Shard[]): readonly number[] => {
  const owned = new Set(shards.flatMap(slotsOf));
  return Array.from({ length: slotCount }, (_, s) => s).filter((s) => !owned.has(s));
};

const slotsAtOnceOf = (reports: Reports, { id, slots }: Shard): number => {
  const { keys = 0, bytes = 0 } = reports.get(id) ?? {};
  const share = Math.max(keys / keysAtOnce, bytes / bytesAtOnce, 1e-9);
  const all = slots.reduce((sum, [from, to]) => sum + to - from + 1, 0);
  return Math.max(1, Math.min(slotsAtOnce, Math.floor(all / share)));
};

const ownerOf = ({ members }: Topology, { id, owner }: Shard): Member => {
  const member = members.find(
    ({ pod, incarnation }) => pod === owner?.pod && incarnation === owner.incarnation,
  );
  if (member !== undefined) return member;
  throw new EdisError("no-owner", `Cannot verify shard ${id}: its owner is away`);
};

const copiesOf = ({ members }: Topology, { id, owner }: Shard): readonly Member[] =>
  members.filter(({ shard, pod }) => shard === id && pod !== owner?.pod);

const compareOf = async (run: Run, { id }: Shard, slots: readonly number[]): Promise<Compared> => {
  const topology = run.topology();
  const shard = topology.shards[id];
  if (shard === undefined) throw new EdisError("not-owner", `Cannot verify shard ${id}: it is gone`);
  const owner = await run.peer(ownerOf(topology, shard));
  const opened = await Promise.all(
    copiesOf(topology, shard).map(async (member) => ({
      pod: member.pod,
      peer: await run.peer(member).catch((error: unknown): Peer => refusing(error)),
    })),
  );
  const copies = new Map(opened.map(({ pod, peer }) => [pod, peer]));
  return compareSlots({ owner, copies, clock }, slots);
};

/** Stands for a process that cannot be reached: it says why to every question. */
const refusing = (error: unknown): Peer => {
  if (!(error instanceof EdisError)) throw error;
  const refuse = (): Promise<never> => Promise.reject(error);
  return { digest: refuse, plan: refuse, isOpen: () => false, close: () => undefined };
};

/** Keys of slots of others, in every process that serves a shard. */
const findStrays = async (run: Run, verified: Verified): Promise<void> => {
  const untilMs = clock.nowMs() + straysMs;
  for (;;) {
    const { members } = run.topology();
    const found = await Promise.all(
      members.map(async (member): Promise<readonly [string, number]> => {
        if (member.shard === null) return [member.pod, 0];
        const strays = await straysIn(run, member);
        return [member.pod, strays];
      }),
    );
    verified.strays.splice(
      0,
      Infinity,
      ...found.filter(([, keys]) => keys > 0).map(([pod, keys]) => ({ pod, keys })),
    );
    if (verified.strays.length === 0 || clock.nowMs() > untilMs) return;
    await clock.sleep(restMs);
  }
};

/** Whoever cannot be asked has been told of already. */
const straysIn = async (run: Run, member: Member): Promise<number> => {
  try {
    const peer = await run.peer(member);
    const { strays } = await peer.digest({ slots: [], after: null });
    return strays;
  } catch (error) {
    if (error instanceof EdisError) return 0;
    throw error;
  }
};
