let passed = 0;
let failed = 0;

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** One test: prints what it found, or why it failed. */
export const test = async (title: string, body: () => Promise<string>): Promise<void> => {
  const startMs = performance.now();
  try {
    const found = await body();
    passed++;
    console.log(`✔ ${title}${found === "" ? "" : ` (${found})`} ${seconds(performance.now() - startMs)}`);
  } catch (error) {
    failed++;
    const reason = error instanceof Error ? error.message : String(error);
    console.log(`✘ ${title}: ${reason} ${seconds(performance.now() - startMs)}`);
  }
};

/** Closes with `N passed, N failed`. */
export const close = (): void => {
  console.log(`took ${seconds(performance.now())}`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
};
