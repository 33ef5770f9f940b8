import type { EdisError, ErrorCode } from "../core/errors.ts";

/** How the command ends. */
export const exitCodes = {
  ok: 0,
  /** The key is not there, or the condition did not hold. */
  no: 1,
  /** The command or its arguments are wrong. */
  usage: 2,
  /** The cluster could not be reached or did not answer in time; nothing was changed. */
  unreachable: 3,
  /** The write may or may not have been applied. */
  unknown: 4,
} as const;

export const exitCodeOf = ({ code, next }: EdisError): number => {
  if (code === "timeout" || code === "closed") return exitCodes.unreachable;
  switch (next) {
    case "fix":
      return exitCodes.usage;
    case "unknown":
      return exitCodes.unknown;
    case "retry":
    case "refresh":
    case "elsewhere":
      return exitCodes.unreachable;
  }
};

/** What a person does next, in one line. */
export const adviceFor = ({ code, next }: EdisError, info: readonly string[]): string => {
  const special = adviceByCode[code];
  if (special !== undefined) return special.replace("{info}", info.join(", "));
  switch (next) {
    case "fix":
      return "See: edis help";
    case "unknown":
      return "Read the key (edis get KEY --consistency linearizable) before you send it again";
    case "retry":
    case "refresh":
    case "elsewhere":
      return "Nothing was changed: try again in a moment; edis topology shows who serves";
  }
};

const nameIt = "Name the cluster: --cluster namespace/name";
const starting = "The cluster is still starting, or an owner is away: see edis topology, then try again";

const adviceByCode: Readonly<Partial<Record<ErrorCode, string>>> = {
  unreachable:
    "Is a cluster running at {info}? Start one with: edis up -f cluster.yaml, or name another with --info ws://host:port",
  "ambiguous-cluster": nameIt,
  "unknown-cluster": nameIt,
  "wrong-cluster": nameIt,
  "wrong-protocol": "Use an edis of the same release as the cluster",
  "no-topology": starting,
  "no-owner": starting,
  "not-an-integer": "Only integers can be counted: look at the value with edis get, or set it anew",
  timeout: "Try again, or give it more time: --timeout 30s",
};
