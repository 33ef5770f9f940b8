/**
 * Every error the outside world can get, by its stable code, and what the receiver should do next:
 * - `fix`: the request itself is wrong; sending it again gives the same answer.
 * - `retry`: nothing was applied; the same request may succeed after a moment.
 * - `refresh`: nothing was applied; take a newer topology, then retry.
 * - `elsewhere`: nothing was read; another reader, or the owner, can answer.
 * - `unknown`: it may or may not have been applied; read before deciding.
 */
export const errorCodes = {
  "bad-message": "fix",
  "too-large": "fix",
  "bad-argument": "fix",
  "bad-file": "fix",
  "wrong-volume": "fix",
  damaged: "fix",
  "disk-failed": "unknown",
  "not-an-integer": "fix",
  "out-of-range": "fix",
  "wrong-protocol": "fix",
  "wrong-cluster": "refresh",
  "wrong-pod": "refresh",
  "wrong-role": "fix",
  "bad-token": "fix",
  "unknown-cluster": "fix",
  "ambiguous-cluster": "fix",
  "not-leader": "refresh",
  "not-owner": "refresh",
  "stale-epoch": "refresh",
  "not-serving": "elsewhere",
  lagging: "elsewhere",
  behind: "elsewhere",
  "try-again": "retry",
  "no-lease": "refresh",
  "not-enough-in-sync": "retry",
  "too-busy": "retry",
  "disk-full": "retry",
  "out-of-memory": "retry",
  "no-topology": "retry",
  "no-owner": "retry",
  "shutting-down": "refresh",
  unreachable: "retry",
  timeout: "unknown",
  "outcome-unknown": "unknown",
  aborted: "unknown",
  closed: "fix",
} as const;

export type ErrorCode = keyof typeof errorCodes;
export type Next = (typeof errorCodes)[ErrorCode];

/** An error with a stable code. The message says what was attempted, what is and what is wanted. */
export class EdisError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "EdisError";
    this.code = code;
  }

  /** What the receiver should do next. */
  get next(): Next {
    return errorCodes[this.code];
  }
}

export const isErrorCode = (code: unknown): code is ErrorCode =>
  typeof code === "string" && Object.hasOwn(errorCodes, code);

/** The text of anything that was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
