export default {
  files: ["test/**/*.test.ts", "!test/e2e/**"],
  extensions: ["ts"],
  timeout: "120s",
  // A test of processes starts many: those of one file one after the other, three files at a time.
  concurrency: 3,
  serial: true,
};
