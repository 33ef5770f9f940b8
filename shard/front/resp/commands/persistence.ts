import { messageOf } from "../../../../core/errors.ts";
import { command, option, ReplyError, syntaxError, type Call, type Command } from "../command.ts";

/** Writes a snapshot while serving; the log behind the older of two goes. Nobody has to ask: they are taken by themselves. */
const bgsave = ({ args, server, reply }: Call): void => {
  if (args.length > 2 || (args.length === 2 && option(args[1]) !== "SCHEDULE")) throw syntaxError();
  const held = server.roles.held();
  if (held === null) throw new ReplyError("ERR Background saving failed: this process holds no data yet");
  const { log } = held;
  if (log.figures().isSnapshotting) throw new ReplyError("ERR Background save already in progress");
  log.snapshot().catch((error: unknown) => {
    server.logger.warn({ reason: messageOf(error) }, "the snapshot that was asked for was not taken");
  });
  reply.simple("Background saving started");
};

/** What is written to the volume on request. */
export const persistence: readonly Command[] = [command(["bgsave", -1, null], ["admin", "noscript"], bgsave)];
