import { version } from "../core/ids.ts";
import type { MoveReport, Report } from "../core/message.ts";
import type { Home, PodRef } from "../core/topology.ts";
import type { Holding } from "./holding.ts";
import type { Reader } from "./reader.ts";
import { lagOf } from "./reads.ts";
import type { ReaderStatus } from "./replication/publisher.ts";
import type { Role } from "./role.ts";
import type { Roles } from "./roles.ts";

type Around = {
  readonly readers: readonly ReaderStatus[];
  readonly moves: readonly MoveReport[];
  readonly nowMs: number;
};

/** How this process is doing, in the words of core/message.ts. */
export const reportOf = (
  self: PodRef & { readonly home: Home; readonly leaving: boolean },
  roles: Pick<Roles, "role" | "held" | "promised">,
  { readers, nowMs, moves }: Around,
): Report => {
  const { pod, incarnation, home, leaving } = self;
  const role = roles.role();
  const holding = roles.held()?.holding;
  return {
    ...{ pod, incarnation, home, leaving },
    serving: servingOf(role, { nowMs, moves }),
    held: placeOf(holding),
    version: holding?.version ?? version(0),
    keys: holding?.store.keys() ?? 0,
    bytes: holding?.store.bytes() ?? 0,
    readers: role.kind === "nothing" ? [] : [...readers],
    ...{ seq: 0, promised: roles.promised(), topology: null },
  };
};

/** Part of a copy is nothing that anybody may own or be restored from. */
const placeOf = (holding: Holding | undefined): Report["held"] => {
  if (holding?.complete !== true) return null;
  const { shard, epoch, version } = holding;
  return { shard, epoch, version };
};

const servingOf = (role: Role, { nowMs, moves }: Pick<Around, "nowMs" | "moves">): Report["serving"] => {
  switch (role.kind) {
    case "nothing":
      return { kind: "nothing" };
    case "owner":
      return {
        ...{ kind: "owner", shard: role.held.holding.shard, epoch: role.writer.epoch },
        ...{ sync: role.tenure.statement(), frozen: role.tenure.frozen(), moves: [...moves] },
      };
    case "reader":
      return readingOf(role.following.reader, nowMs);
  }
};

const readingOf = <To>(reader: Reader<To>, nowMs: number): Report["serving"] => {
  const { copy, holding, heardAtMs } = reader;
  const copied = copy?.kind === "entries" ? copy.copied : copy?.kind === "tail" ? copy.total : 0;
  return {
    kind: "reader",
    shard: holding.shard,
    epoch: holding.epoch,
    state: stateOf(reader),
    copied,
    copyTotal: copy === null || copy.kind === "asked" ? 0 : copy.total,
    lag: lagOf(reader, nowMs),
    heardMs: heardAtMs === null ? null : Math.max(0, Math.round(nowMs - heardAtMs)),
  };
};

const stateOf = <To>({ link, copy }: Reader<To>): "connecting" | "copying" | "streaming" => {
  if (copy !== null) return "copying";
  return link === "streaming" ? "streaming" : "connecting";
};
