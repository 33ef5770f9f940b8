let passed = 0;
const failures: string[] = [];

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** One test: prints what it found, or why it failed. */
export const test = async (title: string, body: () => Promise<string>): Promise<void> => {
  const startMs = performance.now();
  try {
    const found = await body();
    passed++;
    console.log(`✔ ${title}${found === "" ? "" : ` (${found})`} ${seconds(performance.now() - startMs)}`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    failures.push(`✘ ${title}: ${reason}`);
    console.log(`✘ ${title}: ${reason} ${seconds(performance.now() - startMs)}`);
  }
};

/** Says once more what failed, and closes with `N passed, N failed`. */
export const close = (): void => {
  console.log(`took ${seconds(performance.now())}`);
  if (failures.length > 0) console.log(`\nwhat failed:\n${failures.join("\n")}`);
  console.log(`${passed} passed, ${failures.length} failed`);
  process.exitCode = failures.length === 0 ? 0 : 1;
};
