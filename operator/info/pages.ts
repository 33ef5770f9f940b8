import { jsonPage, textPage, type Page, type Routes } from "../../net/http.ts";
import { dashboardHtml } from "./dashboard.ts";
import type { ClusterView, Leader } from "./info.ts";
import type { Metrics } from "./metrics.ts";

export type PageSources = {
  readonly views: () => readonly ClusterView[];
  readonly leading: () => object | null;
  readonly leader: () => Leader | null;
  readonly metrics: Metrics;
};

/** What the operator's HTTP port shows. Only the leader knows clusters; the others send there. */
export const pagesOf = ({ views, leading, leader, metrics }: PageSources): Routes => {
  const atLeader =
    (path: string, page: (query: URLSearchParams) => Page) =>
    (query: URLSearchParams): Page => {
      if (leading() !== null) return page(query);
      const url = leader()?.http ?? "";
      if (url === "") return textPage(503, "This operator stands by, and the leader is not known yet.\n");
      const search = query.size === 0 ? "" : `?${query.toString()}`;
      const location = `${url.replace(/\/$/, "")}${path}${search}`;
      return { ...textPage(307, `This operator stands by; the leader is at ${url}\n`), location };
    };
  return {
    "/": atLeader("/", () => ({ status: 200, type: "text/html; charset=utf-8", body: dashboardHtml })),
    "/topology": atLeader("/topology", (query) => {
      const cluster = query.get("cluster");
      if (cluster === null)
        return jsonPage(200, { clusters: views().flatMap(({ topology }) => topology ?? []) });
      const topology = views().find(({ key }) => key === cluster)?.topology ?? null;
      if (topology !== null) return jsonPage(200, topology);
      return textPage(
        404,
        `No topology of ${cluster}. Known: ${views()
          .map(({ key }) => key)
          .join(" ")}\n`,
      );
    }),
    "/reports": atLeader("/reports", () =>
      jsonPage(200, {
        clusters: views().map(({ key, status, sessions }) => ({
          cluster: key,
          status,
          reports: sessions.map(({ report }) => report),
        })),
      }),
    ),
    "/metrics": async () => ({
      status: 200,
      type: "text/plain; version=0.0.4; charset=utf-8",
      body: await metrics.text(),
    }),
    "/livez": () => textPage(200, "ok\n"),
    "/readyz": () => textPage(200, leading() === null ? "ok, standing by\n" : "ok, leading\n"),
  };
};
