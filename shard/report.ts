import type { Report } from "../core/message.ts";
import type { Home, PodRef } from "../core/topology.ts";
import { lagOf, type Reader } from "./reader.ts";
import type { ReaderStatus } from "./replication/publisher.ts";
import type { Role } from "./role.ts";

/** How this process is doing, in the words of core/message.ts. */
export const reportOf = (
  self: PodRef & { readonly home: Home; readonly leaving: boolean },
  role: Role,
  { readers, nowMs }: { readonly readers: readonly ReaderStatus[]; readonly nowMs: number },
): Report => {
  const { pod, incarnation, home, leaving } = self;
  const about = { pod, incarnation, home, leaving };
  const nothing = { version: 0 as Report["version"], keys: 0, bytes: 0, readers: [] };
  switch (role.kind) {
    case "nothing":
      return { ...about, ...nothing, serving: { kind: "nothing" } };
    case "owner": {
      const { holding, writer } = role;
      return {
        ...about,
        serving: { kind: "owner", shard: holding.shard, epoch: writer.epoch },
        version: holding.version,
        keys: holding.store.keys(),
        bytes: holding.store.bytes(),
        readers: [...readers],
      };
    }
    case "reader": {
      const { holding, reader } = role;
      return {
        ...about,
        serving: servingOf(reader, nowMs),
        // Part of a copy is nothing that anybody may be restored from.
        version: holding.complete ? holding.version : nothing.version,
        keys: holding.store.keys(),
        bytes: holding.store.bytes(),
        readers: [...readers],
      };
    }
  }
};

const servingOf = <To>(reader: Reader<To>, nowMs: number): Report["serving"] => {
  const { progress, holding } = reader;
  const [copied, copyTotal] = progress.kind === "copying" ? [progress.copied, progress.total] : [0, 0];
  return {
    kind: "reader",
    shard: holding.shard,
    epoch: holding.epoch,
    state: stateOf(reader),
    copied,
    copyTotal,
    lag: lagOf(reader, nowMs),
  };
};

const stateOf = <To>({ progress }: Reader<To>): "connecting" | "copying" | "streaming" => {
  switch (progress.kind) {
    case "disconnected":
    case "probing":
      return "connecting";
    case "copying":
      return "copying";
    case "streaming":
      return "streaming";
  }
};
