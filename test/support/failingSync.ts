import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/** Loaded before a program (`--import`): at SIGUSR2 the disk breaks, no file can be synced any more. */
const { fdatasync } = fs;
let isBroken = false;

const broken = (descriptor: number, done: fs.NoParamCallback): void => {
  if (!isBroken) fdatasync(descriptor, done);
  else
    process.nextTick(() => {
      done(Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" }));
    });
};
Reflect.set(fs, "fdatasync", broken);
syncBuiltinESMExports();
process.on("SIGUSR2", () => {
  isBroken = true;
  process.stderr.write("the disk is broken\n");
});
