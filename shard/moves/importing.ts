import type { Version } from "../../core/ids.ts";
import type { ToTarget } from "../../core/message.ts";

/**
 * How far a shard is with slots that come to it. Decides; the target (target.ts) deletes, dials and writes.
 *
 * `step` changes it in place; nothing else may.
 */
export type Importing = {
  phase: Phase;
  /** There is a connection to the source. */
  isConnected: boolean;
  /** The entries are all here; with the records of the source up to this version they are as they were at one moment. */
  until: Version | null;
  /** Everything up to this version of the source has been taken. */
  taken: Version | null;
  /** The newest that the source is known to have. */
  newest: Version | null;
  /** Everything up to this version of the source will survive here. */
  holds: Version | null;
};

/** What is there of these slots is being deleted; the source has not answered; entries come; as the source has it, and goes on to. */
export type Phase = "clearing" | "connecting" | "copying" | "following";

export type ImportEvent =
  /** Nothing of these slots is there any more. */
  | { readonly kind: "cleared" }
  | { readonly kind: "connected" }
  | { readonly kind: "disconnected" }
  | { readonly kind: "message"; readonly message: ToTarget }
  /** Entries or records have come. */
  | { readonly kind: "items" }
  /** Everything that was taken up to this version of the source survives here. */
  | { readonly kind: "safe"; readonly through: Version };

export type ImportEffect =
  /** Delete what is there of these slots, and tell when it is done. */
  | { readonly kind: "clear" }
  /** Ask the source for the slots. */
  | { readonly kind: "ask" }
  /** Write what has come. */
  | { readonly kind: "write" }
  /** Tell when everything that was written up to now survives: it is all there is up to this version of the source. */
  | { readonly kind: "confirm"; readonly through: Version }
  /** What has come is nothing to go on with. */
  | { readonly kind: "reconnect"; readonly reason: string };

export const newImport = (): Importing => ({
  ...{ phase: "clearing", isConnected: false },
  ...{ until: null, taken: null, newest: null, holds: null },
});

export const step = (state: Importing, event: ImportEvent): readonly ImportEffect[] => {
  switch (event.kind) {
    case "cleared":
      if (state.phase !== "clearing") return [];
      state.phase = "connecting";
      return state.isConnected ? [{ kind: "ask" }] : [];
    case "connected":
      state.isConnected = true;
      return state.phase === "connecting" ? [{ kind: "ask" }] : [];
    case "disconnected":
      return startAgain(state);
    case "message":
      return takeMessage(state, event.message);
    case "items":
      if (state.phase === "copying" || state.phase === "following") return [{ kind: "write" }];
      return [{ kind: "reconnect", reason: "keys came before the source said which" }];
    case "safe":
      if (state.phase === "following") state.holds = event.through;
      return [];
  }
};

/** What came of the last attempt is in parts older than what will come: it goes first. */
const startAgain = (state: Importing): readonly ImportEffect[] => {
  const isClean = state.phase === "connecting" || state.phase === "clearing";
  const { phase } = state;
  Object.assign(state, newImport());
  if (isClean) state.phase = phase;
  return isClean ? [] : [{ kind: "clear" }];
};

const takeMessage = (state: Importing, message: ToTarget): readonly ImportEffect[] => {
  switch (message.kind) {
    case "importing":
      if (state.phase !== "connecting")
        return [{ kind: "reconnect", reason: "the source answers what was not asked" }];
      state.phase = "copying";
      state.until = null;
      state.taken = message.version;
      state.newest = message.version;
      return [];
    case "imported":
      if (state.phase === "copying") state.until = message.version;
      return [];
    case "sent":
      if (state.phase !== "copying" && state.phase !== "following") return [];
      state.taken = message.version;
      state.newest = message.newest;
      if (state.until === null || message.version < state.until) return [];
      state.phase = "following";
      return [{ kind: "confirm", through: message.version }];
    case "leaving":
    case "failure":
      // The connection ends by itself.
      return [];
  }
};
