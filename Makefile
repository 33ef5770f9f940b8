# Everything that is done with this project by hand or by a machine. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
IMAGE ?= edis:dev
FILE ?= k8s/samples/demo.yaml

.PHONY: help setup build run test sim sim-mutants lint check e2e zero-loss zero-loss-kube kind image manifests compat bench format clean

help: ## what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: node_modules/.setup ## installs what the project needs (npm ci); the other targets do it themselves
node_modules/.setup: package.json package-lock.json .npmrc
	@command -v npm >/dev/null || { echo "edis: npm is missing. Install Node.js 20 or newer (https://nodejs.org), then run make again." >&2; exit 1; }
	@echo "setup: installing dependencies (about 20 s the first time)"
	@npm ci --loglevel=error
	@touch $@

build: dist/.built ## bundles the programs into dist/
dist/.built: node_modules/.setup build.js $(shell find core net shard operator client cli -name '*.ts' 2>/dev/null)
	@node build.js
	@touch $@

run: build ## a cluster of local processes from FILE (k8s/samples/demo.yaml); Ctrl-C stops it
	@node dist/edis.cjs up -f $(FILE)

test: build ## unit, property and process tests; closes with `N passed, N failed`
	@node test/run.ts

sim: setup ## simulated clusters: RUNS=1000, or SEED=7 TRACE=1 for one of them
	@node test/sim/run.ts

sim-mutants: setup ## leaves out each rule of docs/ownership.md: the simulator has to notice
	@node test/sim/mutants.ts

lint: setup ## types, lint, format
	@tsc
	@eslint .
	@prettier --check --log-level warn .

check: lint test ## types, lint, then the tests

e2e: build ## the cluster tests, on the cluster KUBECONFIG names
	@node test/e2e/run.ts

zero-loss: build ## local processes killed and stopped under load while writers go up and down: ARGS="--minutes 30"
	@node test/proof/zeroLoss.ts $(ARGS)

zero-loss-kube: build ## ten minutes of faults on the cluster KUBECONFIG names, under load: nothing acknowledged may be lost
	@node test/e2e/zeroLoss.ts

image: build ## the container image (IMAGE=edis:dev)
	docker build -t $(IMAGE) .

kind: build ## a kind cluster with the operator and the sample cluster
	@IMAGE=$(IMAGE) bash k8s/kind.sh

manifests: setup ## prints the CRDs and the one-file manifest from their source
	@node operator/kubernetes/printManifests.ts

compat: setup ## compares commands with a real redis-server, byte for byte; Redis's tools at a local cluster
	@node test/compat/run.ts

bench: build ## figures beside redis-server and valkey-server, into docs/benchmarks.md (no verdicts); one: node bench/NAME.ts
	@node bench/run.ts

format: setup ## one formatter, its defaults
	@prettier --write --log-level warn .

clean: ## removes what was built and what local runs left
	rm -rf dist .edis node_modules/.cache
