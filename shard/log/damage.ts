import { EdisError, messageOf } from "../../core/errors.ts";

/** Where a file does not hold what was written. */
export type Flaw = { readonly file: string; readonly offset: number; readonly what: string };

/** The error `damaged`. It says where, what is there, and what a person can do. */
export const damaged = ({ file, offset, what }: Flaw, options?: ErrorOptions): EdisError =>
  new EdisError(
    "damaged",
    `Cannot use the log: ${file}, byte ${offset}: ${what}. Put the file back as it was, or move the folder aside and start again: ` +
      `the shard then copies itself from a reader or writer that has the data`,
    options,
  );

export const isDamaged = (error: unknown): error is EdisError =>
  error instanceof EdisError && error.code === "damaged";

/** A write or a sync failed. */
export const diskFailed = (folder: string, what: string, cause: unknown): EdisError =>
  new EdisError(
    "disk-failed",
    `Cannot go on with the log in ${folder}: ${what}: ${messageOf(cause)}; nothing more is durable, the process has to end`,
    { cause },
  );
