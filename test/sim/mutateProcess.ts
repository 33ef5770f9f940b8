/** Imported first, or by `node --import`: everything of this process runs the mutant that MUTANT names. */
import { mutate } from "./mutate.ts";

mutate(process.env["MUTANT"] ?? "");
