import { version, type Version } from "../../core/ids.ts";
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
  /** The copy is whole: whatever happens to the connection, what is here stays as long as there is the move. */
  isWhole: boolean;
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
  /** Ask the source for the slots; where everything up to `after` is here, for what came behind it. */
  | { readonly kind: "ask"; readonly after: Version }
  /** Write what has come. */
  | { readonly kind: "write" }
  /** Tell when everything that was written up to now survives: it is all there is up to this version of the source. */
  | { readonly kind: "confirm"; readonly through: Version }
  /** What has come is nothing to go on with. */
  | { readonly kind: "reconnect"; readonly reason: string };

export const newImport = (): Importing => ({
  ...{ phase: "clearing", isConnected: false, isWhole: false },
  ...{ until: null, taken: null, newest: null, holds: null },
});

export const step = (state: Importing, event: ImportEvent): readonly ImportEffect[] => {
  switch (event.kind) {
    case "cleared":
      if (state.phase !== "clearing") return [];
      state.phase = "connecting";
      return state.isConnected ? [ask(state)] : [];
    case "connected":
      state.isConnected = true;
      return state.phase === "connecting" ? [ask(state)] : [];
    case "disconnected":
      return startAgain(state);
    case "message":
      return takeMessage(state, event.message);
    case "items":
      if (state.phase === "copying" || state.phase === "following") return [{ kind: "write" }];
      return [{ kind: "reconnect", reason: "keys came before the source said which" }];
    case "safe":
      if (state.isWhole) state.holds = event.through;
      return [];
  }
};

const ask = ({ isWhole, taken }: Importing): ImportEffect => ({
  kind: "ask",
  after: isWhole && taken !== null ? taken : version(0),
});

/**
 * What came of an attempt that brought not all is in parts older than what will come: it goes first. What is whole does not:
 * whoever was told that it is here may give it over at any time.
 */
const startAgain = (state: Importing): readonly ImportEffect[] => {
  if (state.isWhole) {
    state.phase = "connecting";
    state.isConnected = false;
    return [];
  }
  const isClean = state.phase === "connecting" || state.phase === "clearing";
  const { phase } = state;
  Object.assign(state, newImport());
  if (isClean) state.phase = phase;
  return isClean ? [] : [{ kind: "clear" }];
};

const otherAnswer = (): ImportEffect => ({
  ...{ kind: "reconnect", reason: "the source answers what was not asked" },
});

const takeMessage = (state: Importing, message: ToTarget): readonly ImportEffect[] => {
  switch (message.kind) {
    case "importing":
      if (state.phase !== "connecting" || state.isWhole) return [otherAnswer()];
      state.phase = "copying";
      state.until = null;
      state.taken = message.version;
      state.newest = message.version;
      return [];
    case "imported":
      if (state.phase === "copying") state.until = message.version;
      return [];
    case "resumed":
      if (state.phase !== "connecting" || !state.isWhole || message.version !== state.taken)
        return [otherAnswer()];
      state.phase = "following";
      return [];
    case "sent":
      if (state.phase !== "copying" && state.phase !== "following") return [];
      state.taken = message.version;
      state.newest = message.newest;
      if (state.until === null || message.version < state.until) return [];
      state.phase = "following";
      state.isWhole = true;
      return [{ kind: "confirm", through: message.version }];
    case "leaving":
    case "failure":
      // The connection ends by itself.
      return [];
  }
};
