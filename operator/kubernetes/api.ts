import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from "node:https";
import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { messageOf } from "../../core/errors.ts";

/** The API server over plain HTTP requests: addresses and credentials come from the kubeconfig or the pod. */
export type Api = {
  /** Sends one request and reads its JSON answer. Rejects with ApiError. */
  readonly request: (request: ApiRequest) => Promise<unknown>;
  /** Opens a watch: pieces of lines, until the server ends it. Rejects where nothing comes for `idleMsMax`. */
  readonly stream: (path: string, options: StreamOptions) => Promise<AsyncIterable<Uint8Array>>;
};

export type ApiRequest = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  /** `application/json` where nothing else is said. */
  readonly contentType?: string;
  readonly signal?: AbortSignal;
  /** How long the server may stay silent. Milliseconds. */
  readonly idleMsMax?: number;
};
export type StreamOptions = { readonly signal: AbortSignal; readonly idleMsMax: number };

/** The API server's refusal, or that it was not reached (status 0). */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ApiError";
    this.status = status;
  }
}

export const isStatus = (error: unknown, status: number): boolean =>
  error instanceof ApiError && error.status === status;

export const applyPatch = "application/apply-patch+yaml";
export const mergePatch = "application/merge-patch+json";

const requestIdleMsMax = 10_000;
/** etcd takes objects of 1.5 MB; a list is read in pages of 500 small ones. */
const answerBytesMax = 64 * 1024 * 1024;

/** In a pod: its service account. Elsewhere: KUBECONFIG or ~/.kube/config. */
export const loadKubeConfig = (): KubeConfig => {
  const config = new KubeConfig();
  config.loadFromDefault();
  return config;
};

export const createApi = (config: KubeConfig): Api => {
  const server = config.getCurrentCluster()?.server;
  if (server === undefined) {
    throw new Error(
      "Cannot find a Kubernetes cluster: wanted is KUBECONFIG, ~/.kube/config, or a pod's service account",
    );
  }
  const base = new URL(server);
  const secure = base.protocol === "https:";
  // Enough for all watches, and requests of some clusters at a time beside them.
  const agent = secure
    ? new HttpsAgent({ keepAlive: true, maxSockets: 64 })
    : new HttpAgent({ keepAlive: true, maxSockets: 64 });

  const open = async (options: ApiRequest & { readonly idleMsMax: number }): Promise<IncomingMessage> => {
    const { method, path, body, contentType = "application/json", signal, idleMsMax } = options;
    const text = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const settings: RequestOptions = {
      headers: {
        accept: "application/json",
        "user-agent": "edis-operator",
        // The length, as Node says nothing of the body of a DELETE by itself: the server would take it for another request.
        ...(text === undefined ? {} : { "content-type": contentType, "content-length": text.length }),
      },
    };
    if (secure) await config.applyToHTTPSOptions(settings);
    signal?.throwIfAborted();
    const url = new URL(`${base.pathname.replace(/\/$/, "")}${path}`, base);
    const send = secure ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const request = send(url, {
        ...settings,
        agent,
        method,
        timeout: idleMsMax,
        ...(signal === undefined ? {} : { signal }),
      });
      request.on("response", resolve);
      request.on("timeout", () => {
        request.destroy(new Error(`the API server said nothing for ${idleMsMax} ms`));
      });
      request.on("error", (error) => {
        reject(unreached(method, path, error));
      });
      request.end(text);
    });
  };

  return {
    request: async (request) => {
      const response = await open({ idleMsMax: requestIdleMsMax, ...request });
      const { method, path } = request;
      const text = await readAll(response).catch((error: unknown) => {
        throw unreached(method, path, error);
      });
      return answer(response.statusCode ?? 0, text, `${method} ${path}`);
    },
    stream: async (path, options) => {
      const response = await open({ method: "GET", path, ...options });
      if (response.statusCode !== 200)
        answer(response.statusCode ?? 0, await readAll(response), `watch ${path}`);
      return response as AsyncIterable<Uint8Array>;
    },
  };
};

const unreached = (method: string, path: string, error: unknown): ApiError =>
  new ApiError(0, `Cannot reach the API server: ${method} ${path}: ${messageOf(error)}`, { cause: error });

const readAll = async (response: IncomingMessage): Promise<string> => {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > answerBytesMax) {
      response.destroy();
      throw new Error(`an answer is larger than ${answerBytesMax} bytes`);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
};

const answer = (status: number, text: string, what: string): unknown => {
  const body = parsed(text);
  if (status >= 200 && status < 300 && body !== undefined) return body;
  const message =
    typeof body === "object" && body !== null && "message" in body && typeof body.message === "string"
      ? body.message
      : text.slice(0, 200);
  throw new ApiError(status, `The API server refused ${what}: ${status} ${message}`);
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};
