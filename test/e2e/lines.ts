import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** A program that goes on saying lines: the newest ones, and a way to wait for what they say. */
export type Lines<T> = {
  readonly all: () => readonly T[];
  /** Resolves to the first answer of `look`, which is asked at each line; rejects when the time is over. */
  readonly until: <Found>(
    what: string,
    msMax: number,
    look: (all: readonly T[]) => Found | null,
  ) => Promise<Found>;
  readonly stop: () => void;
};

const keptMax = 10_000;

/** Runs a program and keeps what `read` makes of its lines; null leaves one out. */
export const linesOf = <T>(
  program: string,
  args: readonly string[],
  read: (line: string) => T | null,
): Lines<T> => {
  const all: T[] = [];
  const looks = new Set<() => void>();
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  createInterface({ input: child.stdout }).on("line", (line) => {
    const value = read(line);
    if (value === null) return;
    all.push(value);
    if (all.length > keptMax) all.splice(0, keptMax / 2);
    for (const look of [...looks]) look();
  });
  return {
    all: () => all,
    until: (what, msMax, look) =>
      new Promise((resolve, reject) => {
        const again = (): void => {
          const found = look(all);
          if (found === null) return;
          clearTimeout(timer);
          looks.delete(again);
          resolve(found);
        };
        const timer = setTimeout(() => {
          looks.delete(again);
          reject(new Error(`${what}: not within ${msMax} ms; the last line: ${JSON.stringify(all.at(-1))}`));
        }, msMax);
        looks.add(again);
        again();
      }),
    stop: () => {
      child.kill();
    },
  };
};
