import { ApiError, type Api, type ApiRequest } from "../../../operator/kubernetes/api.ts";
import type { SimNetwork } from "./network.ts";
import type { Seeded } from "./seeded.ts";
import type { Process, Timeline } from "./timeline.ts";

/**
 * The API server, as far as the operator's Lease and ownership need it: objects by path, each with a resource version that a
 * change has to name. Requests and answers take time, get lost and come too late.
 */
export type SimApi = {
  readonly of: (process: Process) => Api;
  isAway: boolean;
  /** Of answers to writes that were carried out, this share is lost. */
  lostAnswers: number;
  slowMs: number;
  /** Sees each write that is about to be made; false where it is lost on its way. */
  seesWrite: ((write: SimWrite) => boolean) | null;
  readonly objects: ReadonlyMap<string, ApiObject>;
};
export type ApiObject = { readonly metadata: Readonly<Record<string, unknown>>; readonly spec?: unknown };

export type SimWrite = {
  readonly path: string;
  /** The process that asked for it. */
  readonly by: string;
  readonly before: ApiObject | undefined;
  readonly after: ApiObject;
};

export const apiName = "api";
/** Whoever asks gives up after this: sooner than a real one, as a run costs what it lasts. */
const silentMsMax = 3_000;

export const createSimApi = ({
  timeline,
  random,
  network,
}: {
  timeline: Timeline;
  random: Seeded;
  network: SimNetwork;
}): SimApi => {
  const objects = new Map<string, ApiObject>();
  let version = 0;

  const carryOut = ({ method, path, body }: ApiRequest, by: string): unknown => {
    const isPost = method === "POST";
    const key = isPost ? `${path}/${nameIn(body)}` : path;
    const before = objects.get(key);
    if (method === "GET") {
      if (before === undefined) throw new ApiError(404, `${key} not found`);
      return before;
    }
    if (method === "DELETE") {
      objects.delete(key);
      return {};
    }
    if (isPost && before !== undefined) throw new ApiError(409, `${key} exists already`);
    if (!isPost && before === undefined) throw new ApiError(404, `${key} not found`);
    const object = objectFrom(body);
    const expected = object.metadata["resourceVersion"];
    if (!isPost && expected !== before?.metadata["resourceVersion"])
      throw new ApiError(409, `${key} was changed: ${String(expected)}`);
    const { uid = `uid-${key}` } = before?.metadata ?? {};
    const metadata = { ...object.metadata, uid, resourceVersion: String(++version) };
    const stored = frozen({ ...object, metadata });
    if (api.seesWrite?.({ path: key, by, before, after: stored }) === false)
      throw new ApiError(0, `Cannot ${method} ${path}: the connection was reset`);
    objects.set(key, stored);
    return stored;
  };

  const request = (process: Process, asked: ApiRequest): Promise<unknown> =>
    new Promise((resolve, reject) => {
      // As the wire has it: no object is shared.
      const sent: ApiRequest = { ...asked, body: copyOf(asked.body) };
      const { method, path, idleMsMax = silentMsMax } = asked;
      const tell = (afterMs: number, settle: () => void): void => {
        timeline.at(timeline.nowMs() + afterMs, process, settle);
      };
      const silent = (): void => {
        tell(idleMsMax, () => {
          reject(
            new ApiError(0, `Cannot ${method} ${path}: the API server said nothing for ${idleMsMax} ms`),
          );
        });
      };
      const ms = (): number => 0.5 + random.next() * 3 + (api.slowMs > 0 ? random.next() * api.slowMs : 0);
      timeline.at(timeline.nowMs() + ms(), null, () => {
        if (network.isCut(process.name, apiName)) {
          silent();
          return;
        }
        if (api.isAway) {
          tell(ms(), () => {
            reject(new ApiError(0, `Cannot ${method} ${path}: connection refused`));
          });
          return;
        }
        let answer: () => void;
        try {
          const value = carryOut(sent, process.name);
          answer = () => {
            resolve(value);
          };
        } catch (error) {
          answer = () => {
            reject(error instanceof Error ? error : new Error(String(error)));
          };
        }
        if (network.isCut(apiName, process.name)) silent();
        else if (method !== "GET" && random.chance(api.lostAnswers))
          tell(ms(), () => {
            reject(new ApiError(0, `Cannot ${method} ${path}: the connection was reset`));
          });
        else tell(ms(), answer);
      });
    });

  const api: SimApi = {
    of: (process) => ({
      request: (asked) => request(process, asked),
      stream: () => Promise.reject(new Error("nothing is watched here")),
    }),
    isAway: false,
    lostAnswers: 0,
    slowMs: 0,
    seesWrite: null,
    objects,
  };
  return api;
};

/** All who ask are given the same. */
const frozen = <T>(value: T): T => {
  if (typeof value === "object" && value !== null) {
    for (const part of Object.values(value)) frozen(part);
    Object.freeze(value);
  }
  return value;
};

const copyOf = (value: unknown): unknown =>
  value === undefined ? undefined : JSON.parse(JSON.stringify(value));

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;

const objectFrom = (body: unknown): ApiObject => {
  if (!isRecord(body) || !isRecord(body["metadata"])) throw new ApiError(400, "an object without metadata");
  return { ...body, metadata: body["metadata"] };
};
const nameIn = (body: unknown): string => String(objectFrom(body).metadata["name"]);
