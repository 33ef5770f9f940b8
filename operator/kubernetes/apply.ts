import { applyPatch, type Api } from "./api.ts";
import type { Manifest } from "./crds.ts";
import { pathOf } from "./paths.ts";
import { appliedFrom } from "./seen.ts";

export const fieldManager = "edis-operator";
/** What is not watched in every field is put right this often. */
const againMs = 600_000;

/** Server-side apply that writes nothing where nothing changed: neither in what is wanted nor, as far as is seen, in what is there. */
export type Applier = {
  readonly apply: (object: Manifest) => Promise<void>;
  /** What a watch saw of an applied object; undefined: it is gone. Returns whether that is not as it was applied. */
  readonly saw: (path: string, mark: string | undefined) => boolean;
  /** Drops what is remembered of objects below a path. */
  readonly forget: (isGone: (path: string) => boolean) => void;
};

export const createApplier = (api: Api, nowMs: () => number): Applier => {
  const applied = new Map<string, { readonly text: string; readonly mark: string; readonly atMs: number }>();
  return {
    apply: async (object) => {
      const path = pathOf(object);
      const text = JSON.stringify(object);
      const before = applied.get(path);
      if (before?.text === text && nowMs() - before.atMs < againMs) return;
      const answer = await api.request({
        method: "PATCH",
        path: `${path}?fieldManager=${fieldManager}&force=true`,
        body: object,
        contentType: applyPatch,
      });
      applied.set(path, { text, mark: appliedFrom(answer).mark, atMs: nowMs() });
    },
    saw: (path, mark) => {
      const known = applied.get(path);
      if (known === undefined || known.mark === mark) return false;
      applied.delete(path);
      return true;
    },
    forget: (isGone) => {
      for (const path of [...applied.keys()]) if (isGone(path)) applied.delete(path);
    },
  };
};
