import type { ServerResponse } from "node:http";
import test from "ava";
import { systemClock } from "../../../core/clock.ts";
import { createLogger } from "../../../core/logger.ts";
import { createWatch, type Watched } from "../../../operator/kubernetes/watch.ts";
import { answer, eventually, serve } from "./apiServer.ts";

type Script = {
  readonly watched: Watched<string>;
  readonly changes: string[];
  readonly lists: () => number;
  /** Versions that streams were asked to begin after. */
  readonly since: string[];
  readonly stop: () => Promise<void>;
};

const item = (name: string, resourceVersion: number, value: string): unknown => ({
  metadata: { namespace: "n", name, resourceVersion: String(resourceVersion) },
  value,
});
const event = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`;

/** Answers the lists in turn (the last again and again) and hands each stream to the test. */
const start = async (
  lists: readonly ((response: ServerResponse) => void)[],
  stream: (response: ServerResponse, nth: number) => void,
  limits = { idleMsMax: 5_000, relistMs: 60_000, retryMs: 5 },
): Promise<Script> => {
  let listed = 0;
  const since: string[] = [];
  const server = await serve((request, response) => {
    const url = new URL(request.url ?? "", "http://localhost");
    if (!url.searchParams.has("watch")) {
      lists[Math.min(listed++, lists.length - 1)]?.(response);
      return;
    }
    since.push(url.searchParams.get("resourceVersion") ?? "");
    stream(response, since.length);
  });
  const changes: string[] = [];
  const watched = createWatch<string>({
    ...{ api: server.api, path: "/api/v1/things", labelSelector: "a=b", clock: systemClock, limits },
    random: () => 0,
    logger: createLogger("silent", {}),
    decode: (object) => (object as { value: string }).value,
    changed: (key, now, before) => changes.push(`${key} ${before ?? "-"} ${now ?? "-"}`),
  });
  const ending = new AbortController();
  const running = watched.run(ending.signal);
  return {
    watched,
    changes,
    lists: () => listed,
    since,
    stop: async () => {
      ending.abort();
      await running;
      await server.close();
    },
  };
};
const list =
  (resourceVersion: string, ...items: readonly unknown[]) =>
  (response: ServerResponse): void => {
    answer(response, 200, { metadata: { resourceVersion }, items });
  };
const open = (response: ServerResponse, text: string): void => {
  response.writeHead(200);
  response.write(text);
};

test("what is listed and what is watched end up in the cache, and every change is told", async (t) => {
  const script = await start([list("5", item("a", 3, "1"), item("b", 4, "1"))], (response) => {
    const whole = `${event("MODIFIED", item("a", 6, "2"))}${event("DELETED", item("b", 7, "1"))}${event("ADDED", item("c", 8, "1"))}`;
    // Lines come in pieces.
    open(response, whole.slice(0, 100));
    setTimeout(() => response.write(whole.slice(100)), 20);
  });
  await eventually("the last event", () => script.changes.length === 5);
  t.deepEqual(script.changes, ["n/a - 1", "n/b - 1", "n/a 1 2", "n/b 1 -", "n/c - 1"]);
  t.deepEqual(
    [...script.watched.objects],
    [
      ["n/a", "2"],
      ["n/c", "1"],
    ],
  );
  await script.stop();
});

test("pages of a list make one list", async (t) => {
  const script = await start(
    [
      (response) => {
        answer(response, 200, {
          metadata: { resourceVersion: "5", continue: "more" },
          items: [item("a", 1, "1")],
        });
      },
      list("5", item("b", 2, "1")),
    ],
    (response) => {
      open(response, "");
    },
  );
  await script.watched.listed;
  t.deepEqual([...script.watched.objects.keys()], ["n/a", "n/b"]);
  await script.stop();
});

test("a stream that is reset is taken up after the last event, without a new list", async (t) => {
  const script = await start([list("5")], (response, nth) => {
    open(response, event("ADDED", item(`a${nth}`, 5 + nth, "1")));
    if (nth < 3) setTimeout(() => response.socket?.resetAndDestroy(), 20);
  });
  await eventually("three streams", () => script.changes.length === 3);
  t.deepEqual(script.since, ["5", "6", "7"]);
  t.is(script.lists(), 1);
  await script.stop();
});

test("a bookmark moves the place to go on from", async (t) => {
  const script = await start([list("5")], (response, nth) => {
    if (nth === 1) response.end(event("BOOKMARK", { metadata: { resourceVersion: "90" } }));
    else open(response, "");
  });
  await eventually("a second stream", () => script.since.length === 2);
  t.is(script.since[1], "90");
  await script.stop();
});

for (const [how, refuse] of [
  [
    "an event",
    (response: ServerResponse) => response.writeHead(200).end(event("ERROR", { kind: "Status", code: 410 })),
  ],
  [
    "a status",
    (response: ServerResponse) => {
      answer(response, 410, { message: "too old" });
    },
  ],
] as const) {
  test(`410 as ${how}: everything is listed anew, and what is gone is told`, async (t) => {
    const script = await start(
      [list("5", item("a", 1, "1")), list("9", item("b", 8, "1"))],
      (response, nth) => {
        if (nth === 1) refuse(response);
        else open(response, "");
      },
    );
    await eventually("a second stream", () => script.since.length === 2);
    t.deepEqual(script.changes, ["n/a - 1", "n/a 1 -", "n/b - 1"]);
    t.deepEqual(script.since, ["5", "9"]);
    await script.stop();
  });
}

test("500 to a list and to a watch: tried again", async (t) => {
  const script = await start(
    [
      (response) => {
        answer(response, 500, { message: "no" });
      },
      list("5", item("a", 1, "1")),
    ],
    (response, nth) => {
      if (nth < 3) answer(response, 500, { message: "no" });
      else open(response, event("ADDED", item("b", 6, "1")));
    },
  );
  await eventually("both", () => script.watched.objects.size === 2);
  t.deepEqual(script.since, ["5", "5", "5"]);
  await script.stop();
});

test("a stream that falls silent is given up and begun anew", async (t) => {
  const script = await start(
    [list("5")],
    (response, nth) => {
      open(response, event("ADDED", item(`a${nth}`, 5 + nth, "1")));
    },
    { idleMsMax: 100, relistMs: 60_000, retryMs: 5 },
  );
  await eventually("three streams", () => script.since.length >= 3);
  t.deepEqual(script.since.slice(0, 3), ["5", "6", "7"]);
  await script.stop();
});

test("a server that accepts a watch and never answers it is given up", async (t) => {
  const script = await start(
    [list("5")],
    (response, nth) => {
      if (nth > 1) open(response, event("ADDED", item("a", 6, "1")));
    },
    { idleMsMax: 100, relistMs: 60_000, retryMs: 5 },
  );
  await eventually("the event", () => script.changes.length > 0);
  t.pass();
  await script.stop();
});

test("everything is listed anew now and then, in the middle of a good stream", async (t) => {
  const script = await start(
    [list("5"), list("9", item("missed", 8, "1"))],
    (response) => {
      open(response, "");
    },
    { idleMsMax: 5_000, relistMs: 100, retryMs: 5 },
  );
  await eventually("what was missed", () => script.watched.objects.has("n/missed"));
  t.pass();
  await script.stop();
});

test("a line that is no JSON ends the stream, not the watch", async (t) => {
  const script = await start([list("5")], (response, nth) => {
    open(response, nth === 1 ? "{]\n" : event("ADDED", item("a", 6, "1")));
  });
  await eventually("the event", () => script.changes.length > 0);
  t.pass();
  await script.stop();
});

test("streams that end at once are not a storm of requests", async (t) => {
  const script = await start(
    [list("5")],
    (response) => {
      response.writeHead(200).end();
    },
    { idleMsMax: 5_000, relistMs: 60_000, retryMs: 50 },
  );
  await new Promise((resolve) => setTimeout(resolve, 700));
  // 50 + 100 + 200 + 400 ms.
  t.true(script.since.length <= 5, `${script.since.length} streams`);
  await script.stop();
});

test("403 is waited out: an API server that has just started forbids everything for a moment", async (t) => {
  let lists = 0;
  const server = await serve((_, response) => {
    if (++lists <= 2) answer(response, 403, { message: "things is forbidden" });
    else answer(response, 200, { metadata: { resourceVersion: "1" }, items: [] });
  });
  const ending = new AbortController();
  const watched = createWatch<string>({ ...forbiddenOptions, api: server.api });
  const running = watched.run(ending.signal);
  await watched.listed;
  t.is(lists, 3);
  ending.abort();
  await running;
  await server.close();
});

test("what is optional counts as listed while it is forbidden", async (t) => {
  const server = await serve((_, response) => {
    answer(response, 403, { message: "things is forbidden" });
  });
  const ending = new AbortController();
  const watched = createWatch<string>({ ...forbiddenOptions, api: server.api, optional: true });
  const running = watched.run(ending.signal);
  await watched.listed;
  t.is(watched.objects.size, 0);
  ending.abort();
  await running;
  await server.close();
});

const forbiddenOptions = {
  ...{ path: "/api/v1/things", labelSelector: "", clock: systemClock, random: () => 0 },
  logger: createLogger("silent", {}),
  decode: () => "",
  changed: () => undefined,
  limits: { idleMsMax: 1_000, relistMs: 60_000, retryMs: 10 },
};
