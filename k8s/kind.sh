#!/usr/bin/env bash
# `make kind`: a kind cluster named edis with the operator and the sample cluster, then a first set and get.
# Run again it brings everything up to date. Takes it all away: kind delete cluster --name edis
set -euo pipefail
cd "$(dirname "$0")/.."
image=${IMAGE:-edis:dev}
cluster=${KIND_CLUSTER:-edis}

need() {
  command -v "$1" >/dev/null || { echo "edis: $1 is missing. $2" >&2; exit 1; }
}
need docker "Install Docker: https://docs.docker.com/get-docker"
need kind "Install kind: https://kind.sigs.k8s.io/docs/user/quick-start#installation"
need kubectl "Install kubectl: https://kubernetes.io/docs/tasks/tools"
need helm "Install Helm: https://helm.sh/docs/intro/install"

step() { printf '\n== %s\n' "$1"; }
kube() { kubectl --context "kind-$cluster" "$@"; }

step "kind cluster $cluster"
if kind get clusters 2>/dev/null | grep -qx "$cluster"; then
  echo "is there"
else
  kind create cluster --name "$cluster" --wait 180s
fi

step "image $image"
docker build -t "$image" .
kind load docker-image "$image" --name "$cluster"

step "operator"
# The tag stays the same from build to build: the annotation makes new pods of a new image.
id=$(docker image inspect --format '{{.Id}}' "$image")
helm upgrade --install edis charts/edis --kube-context "kind-$cluster" \
  --namespace edis-system --create-namespace --wait --timeout 180s --hide-notes \
  --set "image.repository=${image%:*},image.tag=${image##*:}" \
  --set-string "podAnnotations.image-id=${id#sha256:}"

step "sample cluster (k8s/samples/demo.yaml)"
kube apply -f k8s/samples/demo.yaml
kube wait --for=condition=Ready shardcluster/demo --timeout=180s
kube get shardclusters,shardtopologies,pods

step "a set and a get"
set -x
kubectl --context "kind-$cluster" exec demo-write-0 -- edis set greeting hello
kubectl --context "kind-$cluster" exec demo-write-0 -- edis get greeting
{ set +x; } 2>/dev/null

cat <<END

Go on with:
  kubectl --context kind-$cluster scale shc/demo --replicas=9
  kubectl --context kind-$cluster get shc --watch
  kubectl --context kind-$cluster exec -it demo-write-0 -- edis
  kind delete cluster --name $cluster
END
