import { pino } from "pino";

/** Structured logging: one JSON line each to standard error, with time, level, and the fields given. */
export type Logger = {
  readonly debug: (fields: LogFields, message: string) => void;
  readonly info: (fields: LogFields, message: string) => void;
  readonly warn: (fields: LogFields, message: string) => void;
  readonly error: (fields: LogFields, message: string) => void;
  readonly child: (fields: LogFields) => Logger;
};
export type LogFields = Readonly<Record<string, unknown>>;

/** `level`: debug, info, warn, error or silent. Errors go under the field `error`. `to` may be a file; made where it is not there. */
export const createLogger = (level: string, fields: LogFields, to: number | string = 2): Logger =>
  pino(
    {
      level,
      base: fields,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: pino.stdSerializers.err },
    },
    pino.destination({ dest: to, sync: true, mkdir: true }),
  );
