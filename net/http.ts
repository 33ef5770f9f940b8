import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";

export type Page = {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly location?: string;
};
/** By path, without the query; only GET and HEAD are answered. */
export type Routes = Readonly<Record<string, (query: URLSearchParams) => Page | Promise<Page>>>;
export type HttpServer = { readonly port: number; readonly close: () => Promise<void> };

export const textPage = (status: number, body: string): Page => ({
  status,
  type: "text/plain; charset=utf-8",
  body,
});
export const jsonPage = (status: number, value: unknown): Page => ({
  status,
  type: "application/json",
  body: `${JSON.stringify(value, undefined, 2)}\n`,
});

/** A small HTTP port for health, metrics and what people look at. `port` 0 takes any free one. */
export const serveHttp = async (options: {
  readonly host: string;
  readonly port: number;
  readonly logger: Logger;
  readonly routes: Routes;
}): Promise<HttpServer> => {
  const { routes, logger } = options;
  const answer = async (method: string, target: string): Promise<Page> => {
    const url = new URL(target, "http://localhost");
    const route = Object.hasOwn(routes, url.pathname) ? routes[url.pathname] : undefined;
    if (route === undefined)
      return textPage(404, `Not here. Known paths: ${Object.keys(routes).join(" ")}\n`);
    if (method !== "GET" && method !== "HEAD") return textPage(405, "Only GET and HEAD are answered.\n");
    return route(url.searchParams);
  };
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 10_000 }, (request, response) => {
    answer(request.method ?? "", request.url ?? "/")
      .catch((error: unknown) => {
        logger.error({ error, path: request.url }, "failed to answer an HTTP request");
        return textPage(500, `${messageOf(error)}\n`);
      })
      .then(({ status, type, body, location }) => {
        response.writeHead(status, { "content-type": type, ...(location === undefined ? {} : { location }) });
        response.end(request.method === "HEAD" ? "" : body);
      })
      .catch((error: unknown) => {
        logger.error({ error }, "failed to send an HTTP answer");
      });
  });
  server.maxConnections = 1024;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
    },
  };
};
