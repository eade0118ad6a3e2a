# Every target does its own set-up. Start with `make demo`; work with `make check test`.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all conformance check images bench generate lock peers clean
SHELL := /bin/sh

# Programs that scripts/peers fetched are found before the system's.
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.peers/bin:$(PATH)
PYTEST := python -m pytest
# Two at a time; a file's tests stay together as long as nobody is idle. ARGS='-n 0' debugs.
PARALLEL := -n 2 --dist worksteal
# More arguments for pytest, such as ARGS='-k lint -x'.
ARGS ?=

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: ## Make .venv with everything that tests and checks need
	@scripts/setup dev

demo: ## See remediations happen, on a cluster inside one process
	@scripts/setup run
	@kubernaut demo

test: setup ## Run the tests; with CI=true every peer program must be there
	@$(if $(filter true 1,$(CI)),scripts/peers)
	$(PYTEST) -m "not long" $(PARALLEL) $(ARGS)

test-all: setup ## Run the tests and the long suites
	@$(if $(filter true 1,$(CI)),scripts/peers)
	$(PYTEST) $(PARALLEL) $(ARGS)

# A KUBECONFIG of the environment is not meant: cases make definitions and cluster roles.
conformance: setup ## Hold the embedded cluster, or the one of KUBECONFIG=file given here, to what Kubernetes promises
	$(if $(filter command line,$(origin KUBECONFIG)),KUBERNAUT_TEST_KUBECONFIG=$(abspath $(KUBECONFIG))) \
		$(PYTEST) tests/conformance $(ARGS)

check: setup ## Format, lint, types, layers, lock and generated files
	@scripts/check

images: ## Build the shipped action images into build/images
	@scripts/setup run
	@kubernaut images build

bench: setup ## Measure API writes, overhead, memory and throughput
	python -m benchmarks $(ARGS)

generate: setup ## Write the generated files anew
	@python scripts/generate.py

lock: setup ## Write the lock files anew from pyproject.toml
	@scripts/lock

peers: ## Fetch kubectl, bubblewrap and a registry into .peers, for tests
	@scripts/peers

clean: ## Remove everything that make wrote
	rm -rf .venv .peers build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
