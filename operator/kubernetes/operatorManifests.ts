import type { Manifest } from "./crds.ts";
import { leaseRights, nodeRights, rights, type Right } from "./rights.ts";

/** The operator itself, as the chart with its default values makes it: for those who take one file and no Helm. */
export const operatorNamespace = "edis-system";
const name = "edis-operator";

export const operatorManifests = (image: string): readonly Manifest[] => [
  {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: {
      name: operatorNamespace,
      labels: { "pod-security.kubernetes.io/enforce": "restricted" },
    },
  },
  { apiVersion: "v1", kind: "ServiceAccount", metadata: inNamespace },
  role("ClusterRole", { name, labels }, [...rights, ...nodeRights]),
  binding("ClusterRole", { name, labels }),
  role("Role", inNamespace, leaseRights),
  binding("Role", inNamespace),
  deployment(image),
  {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: inNamespace,
    spec: { minAvailable: 1, selector: { matchLabels: selector } },
  },
  {
    apiVersion: "v1",
    kind: "Service",
    metadata: inNamespace,
    spec: {
      selector,
      ports: [
        { name: "info", port: 7378, targetPort: "info", protocol: "TCP" },
        { name: "http", port: 8080, targetPort: "http", protocol: "TCP" },
      ],
    },
  },
];

const selector = { "app.kubernetes.io/name": name, "app.kubernetes.io/instance": "edis" };
const labels = { ...selector, "app.kubernetes.io/component": "operator" };
const inNamespace: Manifest["metadata"] = { name, namespace: operatorNamespace, labels };

const role = (
  kind: "ClusterRole" | "Role",
  metadata: Manifest["metadata"],
  rules: readonly Right[],
): Manifest => ({ apiVersion: "rbac.authorization.k8s.io/v1", kind, metadata, rules });

const binding = (kind: "ClusterRole" | "Role", metadata: Manifest["metadata"]): Manifest => ({
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: `${kind}Binding`,
  metadata,
  roleRef: { apiGroup: "rbac.authorization.k8s.io", kind, name },
  subjects: [{ kind: "ServiceAccount", name, namespace: operatorNamespace }],
});

const deployment = (image: string): Manifest => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: inNamespace,
  spec: {
    // With only one, a shard that loses its owner together with the operator's node would wait for both.
    replicas: 2,
    selector: { matchLabels: selector },
    template: {
      metadata: { labels },
      spec: {
        serviceAccountName: name,
        terminationGracePeriodSeconds: 10,
        securityContext: {
          runAsNonRoot: true,
          runAsUser: 65_532,
          runAsGroup: 65_532,
          seccompProfile: { type: "RuntimeDefault" },
        },
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: "kubernetes.io/hostname",
            whenUnsatisfiable: "ScheduleAnyway",
            labelSelector: { matchLabels: selector },
          },
        ],
        containers: [container(image)],
      },
    },
  },
});

const container = (image: string): unknown => {
  const from = (variable: string, fieldPath: string): unknown => ({
    name: variable,
    valueFrom: { fieldRef: { fieldPath } },
  });
  return {
    name: "operator",
    image,
    imagePullPolicy: "IfNotPresent",
    command: ["node", "/edis/operator.cjs"],
    env: [
      from("EDIS_POD", "metadata.name"),
      from("EDIS_POD_IP", "status.podIP"),
      from("EDIS_POD_NAMESPACE", "metadata.namespace"),
      { name: "EDIS_LEASE", value: name },
      { name: "EDIS_NAMESPACE", value: "" },
      { name: "EDIS_IMAGE", value: image },
      { name: "EDIS_INFO", value: `ws://${name}.${operatorNamespace}.svc:7378` },
      { name: "EDIS_LOG_LEVEL", value: "info" },
    ],
    ports: [
      { name: "info", containerPort: 7378, protocol: "TCP" },
      { name: "http", containerPort: 8080, protocol: "TCP" },
    ],
    startupProbe: { httpGet: { path: "/livez", port: "http" }, periodSeconds: 1, failureThreshold: 60 },
    readinessProbe: { httpGet: { path: "/readyz", port: "http" }, periodSeconds: 2 },
    livenessProbe: {
      httpGet: { path: "/livez", port: "http" },
      periodSeconds: 10,
      timeoutSeconds: 5,
      failureThreshold: 3,
    },
    resources: { requests: { cpu: "50m", memory: "128Mi" }, limits: { memory: "512Mi" } },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
  };
};
