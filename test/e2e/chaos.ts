import type { Random } from "../support/random.ts";
import { field, kubectl, must, run, sleep, until } from "./kube.ts";
import {
  faults,
  image,
  in_,
  inOperators,
  leader,
  nodeIs,
  nodeOf,
  ownerOf,
  patch,
  podsOf,
  readerLabel,
  signalShard,
  writerLabel,
} from "./world.ts";

/** One thing that goes wrong, or is changed. */
export type Fault = {
  readonly name: string;
  /** Says what it did. */
  readonly act: () => Promise<string>;
  /** Whether everything has to be well again before the next one. */
  readonly waits: boolean;
};

/** A node that does not run the load. */
const someNode = async (random: Random): Promise<string> => {
  const nodes = (await field("{.items[*].metadata.name}", "nodes")).split(" ");
  const load = await nodeOf("load");
  return random.pick(nodes.filter((node) => node !== load));
};

const nodeFaults = (random: Random): readonly Fault[] => {
  const { cutNode, healNode, stopNode, startNode } = faults;
  const fault = (name: string, down: typeof cutNode, up: typeof healNode): readonly Fault[] =>
    down === undefined || up === undefined
      ? []
      : [
          {
            name,
            waits: true,
            act: async () => {
              const node = await someNode(random);
              await down(node);
              const ms = 3_000 + random.below(17_000);
              await sleep(ms);
              await up(node);
              await nodeIs(node, true);
              return `${node}, for ${ms} ms`;
            },
          },
        ];
  return [...fault("node cut", cutNode, healNode), ...fault("node stop", stopNode, startNode)];
};

const processFaults = (random: Random): readonly Fault[] => {
  const signal = signalShard;
  if (signal === undefined) return [];
  const owner = (): Promise<string> => ownerOf("demo", random.below(3));
  const somePod = async (): Promise<string> =>
    random.pick([...(await podsOf(readerLabel)), ...(await podsOf(writerLabel))]);
  return [
    {
      name: "owner killed",
      waits: false,
      act: async () => {
        const pod = await owner();
        await signal("KILL", pod);
        return pod;
      },
    },
    {
      name: "pod killed",
      waits: false,
      act: async () => {
        const pod = await somePod();
        await signal("KILL", pod);
        return pod;
      },
    },
    {
      name: "owner frozen",
      waits: false,
      act: async () => {
        const pod = await owner();
        const ms = 500 + random.below(6_000);
        await signal("STOP", pod);
        await sleep(ms);
        await signal("CONT", pod);
        return `${pod}, for ${ms} ms`;
      },
    },
  ];
};

const podFaults = (random: Random): readonly Fault[] => [
  {
    name: "owner's pod deleted",
    waits: false,
    act: async () => {
      const pod = await ownerOf("demo", random.below(3));
      await kubectl(...in_, "delete", "pod", pod, "--wait=false");
      return pod;
    },
  },
  {
    name: "owner's pod deleted by force",
    waits: false,
    act: async () => {
      const pod = await ownerOf("demo", random.below(3));
      await kubectl(...in_, "delete", "pod", pod, "--force", "--grace-period=0");
      return pod;
    },
  },
  {
    name: "drain",
    waits: true,
    act: async () => {
      const node = await someNode(random);
      try {
        await must("kubectl", [
          ...["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s"],
          ...["--pod-selector=app.kubernetes.io/instance=demo"],
        ]);
      } finally {
        await kubectl("uncordon", node);
      }
      return node;
    },
  },
];

const operatorFaults = (): readonly Fault[] => {
  const { restartApi } = faults;
  return [
    {
      name: "operator killed",
      waits: false,
      act: async () => {
        const pod = await leader();
        await run("kubectl", [...inOperators, "delete", "pod", pod, "--force", "--grace-period=0"]);
        return pod;
      },
    },
    ...(restartApi === undefined
      ? []
      : [
          {
            name: "API server restarted",
            waits: false,
            act: async () => {
              await restartApi("");
              const ms = await until("the API server answers", 60_000, () =>
                kubectl("get", "--raw=/readyz").then(() => undefined),
              );
              return `it answers after ${ms} ms`;
            },
          },
        ]),
  ];
};

const changes = (random: Random): readonly Fault[] => {
  let rolled = 0;
  return [
    {
      name: "rolling change",
      waits: true,
      act: async () => {
        // Another image where there is a way to load one, else another annotation.
        const next = ++rolled % 2 === 1 ? `${image}-next` : image;
        const load = process.env["EDIS_E2E_LOAD"] ?? "";
        if (load === "") {
          await patch("demo", `{"template":{"annotations":{"rolled":"${rolled}"}}}`);
          return "of the template";
        }
        await must("bash", ["-c", `docker tag ${image} ${next}; ${load} ${next}`]);
        await patch("demo", `{"image":"${next}"}`);
        return `to image ${next}`;
      },
    },
    {
      name: "writers",
      waits: false,
      act: async () => {
        const writers = 3 + random.below(2);
        await patch("demo", `{"writers":${writers}}`);
        return `to ${writers}`;
      },
    },
    {
      name: "readers",
      waits: false,
      act: async () => {
        const readers = 8 + random.below(3);
        await kubectl(...in_, "scale", "shc/demo", `--replicas=${readers}`);
        return `to ${readers}`;
      },
    },
  ];
};

/** Everything that can be done here. */
export const faultList = (random: Random): readonly Fault[] => [
  ...processFaults(random),
  ...podFaults(random),
  ...nodeFaults(random),
  ...operatorFaults(),
  ...changes(random),
];
