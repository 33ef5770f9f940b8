import tseslint from "typescript-eslint";

// Who may import whom (docs/architecture.md draws it). A pattern names what a folder may not reach.
const border = (files, patterns) => ({
  files,
  rules: { "no-restricted-imports": ["error", { patterns }] },
});
const folders = (names, message) => ({ regex: `^(\\.\\./)+(${names.join("|")})/`, message });
const platform = {
  regex: "^(node:|ws$|@kubernetes/|pino$|prom-client$)",
  message: "This file decides; input and output belong at the rim.",
};

export default tseslint.config(
  { ignores: ["dist/", "node_modules/", ".edis/"] },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { requireDefaultForNonUnion: true, considerDefaultExhaustiveForUnions: false },
      ],
      "@typescript-eslint/consistent-type-definitions": ["error", "type"],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/strict-boolean-expressions": "error",
      "@typescript-eslint/explicit-module-boundary-types": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "max-lines": ["error", { max: 400, skipBlankLines: true, skipComments: true }],
      "max-lines-per-function": ["error", { max: 70, skipBlankLines: true, skipComments: true }],
      "max-params": ["error", 3],
      "no-console": "error",
      eqeqeq: "error",
      "no-restricted-globals": ["error", "setTimeout", "setInterval", "setImmediate", "Date"],
      "no-restricted-syntax": [
        "error",
        { selector: "ExportDefaultDeclaration", message: "Named exports only." },
        {
          selector: "MemberExpression[object.name='Math'][property.name='random']",
          message: "Take randomness from the caller.",
        },
      ],
    },
  },
  { files: ["core/clock.ts"], rules: { "no-restricted-globals": "off" } },
  {
    files: ["test/**", "bench/**"],
    rules: {
      "max-lines": "off",
      "max-lines-per-function": "off",
      "no-restricted-globals": "off",
      "no-restricted-syntax": "off",
      "no-console": "off",
    },
  },
  border(
    ["core/**"],
    [folders(["net", "shard", "operator", "client", "cli", "test"], "core imports no other folder.")],
  ),
  border(["net/**"], [folders(["shard", "operator", "client", "cli", "test"], "net imports core only.")]),
  border(["shard/**"], [folders(["operator", "client", "cli", "test"], "shard imports core and net only.")]),
  border(
    ["operator/**"],
    [folders(["shard", "client", "cli", "test"], "operator imports core and net only.")],
  ),
  border(["client/**"], [folders(["shard", "operator", "cli", "test"], "client imports core and net only.")]),
  border(
    ["cli/**"],
    [
      folders(
        ["shard", "test", "operator/(plan|info|kubernetes)"],
        "cli imports client, core and the face of operator/local.",
      ),
    ],
  ),
  border(
    ["operator/plan/**"],
    [
      folders(["shard", "client", "cli", "test", "net"], "The plan is pure."),
      { regex: "\\.\\./(info|kubernetes|local)/", message: "The plan knows no Kubernetes." },
      platform,
    ],
  ),
  border(
    [
      "shard/route.ts",
      "shard/writer.ts",
      "shard/reader.ts",
      "shard/replication/progress.ts",
      "core/topology.ts",
      "core/slot.ts",
    ],
    [folders(["operator", "client", "cli", "test", "net", "shard"], "A pure file."), platform],
  ),
  { files: ["**/*.js"], ...tseslint.configs.disableTypeChecked },
  {
    files: ["**/*.js"],
    rules: {
      ...tseslint.configs.disableTypeChecked.rules,
      "no-restricted-syntax": "off",
      "no-restricted-imports": "off",
      "@typescript-eslint/explicit-module-boundary-types": "off",
    },
  },
);
