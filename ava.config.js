export default {
  files: ["test/**/*.test.ts", "!test/e2e/**"],
  extensions: ["ts"],
  timeout: "120s",
  concurrency: 2,
};
