export { counted, several } from "../../core/words.ts";
