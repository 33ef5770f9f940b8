/** The shard program with a rule left out (test/sim/mutantList.ts, by MUTANT): the zero-loss run has to notice. */
import "../sim/mutateProcess.ts";

await import("../../shard/main.ts");
