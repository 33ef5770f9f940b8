import type { Data } from "../client/index.ts";
import type { EdisError } from "../core/errors.ts";
import { adviceFor } from "./exit.ts";
import type { Settings } from "./settings.ts";

/** Where results and errors go. */
export type Output = {
  readonly isTerminal: boolean;
  readonly write: (data: Data) => void;
  readonly writeError: (text: string) => void;
};

export const processOutput: Output = {
  isTerminal: process.stdout.isTTY,
  write: (data) => {
    process.stdout.write(data);
  },
  writeError: (text) => {
    process.stderr.write(text);
  },
};

/** A value for a terminal: text as it is; anything that would not show, or would act on the terminal, escaped and in quotes. */
export const shown = (value: Uint8Array): string => {
  const text = textOf(value);
  if (text !== undefined && !/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(text)) return text;
  const bytes = [...value].map((byte) =>
    byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c
      ? String.fromCharCode(byte)
      : `\\x${byte.toString(16).padStart(2, "0")}`,
  );
  return `"${bytes.join("")}"`;
};

/** A value in JSON: text where it is text, else base64 with `encoding` saying so. */
export const jsonValue = (value: Uint8Array | null): Readonly<Record<string, unknown>> => {
  if (value === null) return { value: null };
  const text = textOf(value);
  return text === undefined
    ? { value: Buffer.from(value).toString("base64"), encoding: "base64" }
    : { value: text };
};

const textOf = (value: Uint8Array): string | undefined => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value);
  } catch {
    return undefined;
  }
};

/** Rows under their headings, columns two blanks apart. */
export const table = (rows: readonly (readonly string[])[]): string => {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
};

/** Two lines: what and why; what to do next. Or one object, with `--output json`. */
export const writeFailure = (
  error: EdisError,
  { output, settings }: { readonly output: Output; readonly settings: Settings },
): void => {
  const next = adviceFor(error, settings.info);
  const { code, message } = error;
  output.writeError(
    settings.output === "json"
      ? `${JSON.stringify({ error: { code, message, next } })}\n`
      : `edis: ${message}\n      ${next}\n`,
  );
};
