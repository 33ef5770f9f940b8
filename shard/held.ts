import type { Holding } from "./holding.ts";
import type { Log } from "./log/log.ts";

/** The data of one shard and the log that keeps it on this process's volume: whoever changes the one appends to the other. */
export type Held = { readonly holding: Holding; readonly log: Log };
