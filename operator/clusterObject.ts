import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { brokenRules, type Fields } from "./rules.ts";
import { apiVersion, closed, specSchema, type Schema } from "./schema.ts";

/** One ShardCluster, defaulted and validated. */
export type ClusterObject = Fields & {
  readonly metadata: { readonly namespace: string; readonly name: string };
};

type Path = readonly string[];
/** What is wrong with it, at which field. `atName`: the field's name is meant, not its value. */
export type Fault = { readonly path: Path; readonly message: string; readonly atName?: boolean };
export type Read = { readonly object: ClusterObject | null; readonly faults: readonly Fault[] };

const text = { type: "string" } as const;
const texts = { type: "object", additionalProperties: text };
const objectSchema = (): Schema =>
  closed({
    type: "object",
    required: ["apiVersion", "kind", "metadata", "spec"],
    properties: {
      apiVersion: { enum: [apiVersion] },
      kind: { enum: ["ShardCluster"] },
      metadata: {
        type: "object",
        required: ["name"],
        properties: {
          name: text,
          namespace: {
            ...text,
            pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            maxLength: 63,
            default: "default",
          },
          labels: texts,
          annotations: texts,
        },
      },
      spec: specSchema,
      status: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
    },
  });

/** Compiled when first needed: an operator that starts to lead has more urgent things to do. */
const lazy: { validate?: ValidateFunction<ClusterObject> } = {};
const validator = (): ValidateFunction<ClusterObject> =>
  (lazy.validate ??= new Ajv({
    allErrors: true,
    strict: false,
    useDefaults: true,
    verbose: true,
    validateFormats: false,
  }).compile<ClusterObject>(objectSchema()));

/**
 * Checks an object as the API server does. Defaults are filled in on the way, in the object itself. `old` finds what it replaces, for what
 * must not be changed.
 */
export const readObject = (object: unknown, old: (key: string) => Fields | undefined): Read => {
  const validate = validator();
  if (!validate(object)) return { object: null, faults: (validate.errors ?? []).map(faultOf) };
  const { namespace, name } = object.metadata;
  const faults = brokenRules(object, old(`${namespace}/${name}`)).map(({ path, fieldPath, message }) => {
    const field = fieldPath === undefined ? [] : fieldPath.split(".").slice(1);
    return { path: path.length === 0 ? ["metadata", "name"] : [...path, ...field], message };
  });
  return { object: faults.length === 0 ? object : null, faults };
};

const faultOf = (error: ErrorObject): Fault => {
  const path = error.instancePath
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  const where = path.length === 0 ? "the document" : path.join(".");
  switch (error.keyword) {
    case "additionalProperties": {
      const name = textParam(error, "additionalProperty");
      const properties: unknown = error.parentSchema?.["properties"];
      const known = typeof properties === "object" && properties !== null ? Object.keys(properties) : [];
      return {
        path: [...path, name],
        atName: true,
        message: `${where} has no field ${name}; it has ${known.join(", ")}`,
      };
    }
    case "required":
      return { path, message: `${where} has no ${textParam(error, "missingProperty")}, which is needed` };
    case "enum": {
      const wanted: unknown = error.params["allowedValues"];
      const names = Array.isArray(wanted) ? wanted.map(String).join(" or ") : "";
      return { path, message: `${where} is ${shown(error.data)}; wanted is ${names}` };
    }
    default:
      return { path, message: `${where} is ${shown(error.data)}; it ${error.message ?? "is not allowed"}` };
  }
};

const textParam = ({ params }: ErrorObject, name: string): string => String(params[name]);
const shown = (data: unknown): string =>
  ((JSON.stringify(data) as string | undefined) ?? "nothing").slice(0, 60);
