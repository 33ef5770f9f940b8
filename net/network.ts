import { dial } from "./dial.ts";
import { serveHttp } from "./http.ts";
import { listen } from "./listen.ts";
import { listenTcp } from "./tcp.ts";

/** How processes reach one another. Given to whoever opens a port or dials one, so that a simulated network can stand in its place. */
export type Network = {
  readonly dial: typeof dial;
  readonly listen: typeof listen;
  readonly listenTcp: typeof listenTcp;
  readonly serveHttp: typeof serveHttp;
};

export const systemNetwork: Network = { dial, listen, listenTcp, serveHttp };
