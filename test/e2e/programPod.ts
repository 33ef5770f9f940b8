import { build } from "esbuild";
import { must } from "./kube.ts";

export type Program = {
  readonly namespace: string;
  /** The image under test, whose Node runs it. */
  readonly image: string;
  /** Of the pod, and of the program: test/e2e/NAME.ts. */
  readonly name: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Where it has to run; anywhere where it is not said. */
  readonly node?: string;
};

/** Starts a program of this folder, as one file, in a pod of the image under test. */
export const startProgram = async (program: Program): Promise<void> => {
  const { outputFiles } = await build({
    ...{ bundle: true, minify: true, platform: "node", target: "node24", format: "esm", write: false },
    entryPoints: [`test/e2e/${program.name}.ts`],
    external: ["bufferutil", "utf-8-validate", "cbor-extract"],
    banner: { js: 'import{createRequire}from"module";const require=createRequire(import.meta.url);' },
  });
  const manifest = JSON.stringify(podOf(program, outputFiles[0]?.text ?? ""));
  // On the server's side: what kubectl would note of it in an annotation is larger than annotations may be.
  await must("kubectl", ["apply", "--server-side", "-f", "-"], manifest);
};

const podOf = ({ namespace, image, name, environment, node }: Program, text: string): unknown => ({
  apiVersion: "v1",
  kind: "List",
  items: [
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, namespace },
      data: { [`${name}.mjs`]: text },
    },
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace },
      spec: {
        restartPolicy: "Never",
        ...(node === undefined ? {} : { nodeName: node }),
        terminationGracePeriodSeconds: 1,
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
        containers: [
          {
            name,
            image,
            command: ["node", `/program/${name}.mjs`],
            env: Object.entries(environment).map(([variable, value]) => ({ name: variable, value })),
            // Without a request a pod waits for all that have one: what it measures would be its own waiting.
            resources: { requests: { cpu: "500m", memory: "128Mi" } },
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
            volumeMounts: [{ name: "program", mountPath: "/program" }],
          },
        ],
        volumes: [{ name: "program", configMap: { name } }],
      },
    },
  ],
});
