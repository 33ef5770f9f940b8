/** The shard program with a rule left out (test/sim/mutantList.ts, by PROOF_MUTANT): the zero-loss run has to notice. */
import { mutate } from "../sim/mutate.ts";

mutate(process.env["PROOF_MUTANT"] ?? "");
await import("../../shard/main.ts");
