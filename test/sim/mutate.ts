import { registerHooks } from "node:module";
import { mutants } from "./mutantList.ts";

/** Changes the product's source as it is loaded, as one mutant says. To be called before anything of the product is imported. */
export const mutate = (name: string): void => {
  const mutant = mutants.find((one) => one.name === name);
  if (mutant === undefined) throw new Error(`There is no mutant ${name}; there are ${mutants.map((one) => one.name).join(", ")}`);
  const root = new URL("../../", import.meta.url).href;
  registerHooks({
    load: (url, context, nextLoad) => {
      const loaded = nextLoad(url, context);
      const patches = mutant.patches.filter(({ file }) => url === root + file);
      if (patches.length === 0) return loaded;
      let source = typeof loaded.source === "string" ? loaded.source : Buffer.from(bytesOf(loaded.source)).toString();
      for (const { file, from, to } of patches) {
        if (source.split(from).length !== 2)
          throw new Error(`${file} does not have this once, which ${name} would change: ${from}`);
        source = source.replace(from, () => to);
      }
      return { ...loaded, source };
    },
  });
};

const bytesOf = (source: ArrayBuffer | NodeJS.TypedArray | undefined): Uint8Array => {
  if (source === undefined) throw new Error("a module without source");
  return source instanceof ArrayBuffer ? new Uint8Array(source) : new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
};
