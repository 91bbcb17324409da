# The two commands of the README are `make demo` and `make test`. `make help` lists the others.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

SWIFT_BUILD := swift build --explicit-target-dependency-import-check error --no-color-diagnostics
RELEASE_FLAGS = $(shell scripts/release-flags $(CURDIR)/.build/static-libs)
POSTERN := $(CURDIR)/.build/release/postern
PYTHON := .venv/bin/python
# `make demo ONCE=1` ends after the proof.
ONCE ?=
# Random inputs that `make fuzz` gives each parser.
FUZZ_RUNS ?= 200000
# Schedules of faults and rounds of each race in `make test`: a seeded sample of what `make soak` runs.
SCHEDULES ?= 1000
RACES ?= 100
# Workers of the integration tests.
WORKERS ?= 4
# How long `make fuzz-deep` looks.
FUZZ_SECONDS ?= 60

.PHONY: help setup browser build binary release deb publish test unit integration soak soak-unit soak-integration instructions package bulk demo demo-once demo-stop documents bench fuzz fuzz-deep lint format check

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 20

setup: ## Install what is missing: Debian packages, and the tests' Python clients
	@scripts/setup

browser: setup ## What the browser gets: the terminal as WebAssembly, scripts, styles, and the documentation as HTML
	@scripts/browser
	@scripts/documents

build: browser ## Debug build of everything, tests included
	$(SWIFT_BUILD) --build-tests

binary: browser
	@echo "Building the release binary (the first time takes some minutes; later ones seconds) …"
	@$(SWIFT_BUILD) --product postern $(RELEASE_FLAGS)

release: binary ## The stripped static binary in dist/, with its size checked
	@scripts/release $(POSTERN)

deb: release ## The Debian package in dist/, checked by lintian
	@scripts/deb

publish: deb ## A release: packages, programs and SHA256SUMS in dist/release, and the tag; says what could not be built
	@scripts/publish

test: ## Every test: unit tests first, then the real thing, then the package on a fresh machine; prints what each part took
	@scripts/timed $(MAKE) setup build unit integration instructions package

unit: build
	SCHEDULES=$(SCHEDULES) RACES=$(RACES) swift test --skip-build

# Each worker has servers of its own; more workers than cores, because tests wait for events most of their time.
integration: binary
	@$(SWIFT_BUILD) --product postern-echo $(RELEASE_FLAGS)
	POSTERN=$(POSTERN) $(PYTHON) -m pytest -q -n $(WORKERS) --dist loadfile Tests/Integration

soak: build binary ## What takes long, in full: 10,000 schedules of faults, 1,000 races at each limit, floods of 250 and 2,000 connections
	@$(SWIFT_BUILD) --product postern-echo $(RELEASE_FLAGS)
	@scripts/timed $(MAKE) soak-unit soak-integration bulk

soak-unit: build
	SCHEDULES=10000 RACES=1000 swift test --skip-build

soak-integration: binary
	POSTERN_SOAK=1 POSTERN=$(POSTERN) $(PYTHON) -m pytest -q -s Tests/Integration

instructions: binary ## What a delivery costs in instructions, held below a ceiling
	@$(SWIFT_BUILD) --product postern-bench $(RELEASE_FLAGS)
	@POSTERN=$(POSTERN) BENCH=$(CURDIR)/.build/release/postern-bench $(PYTHON) scripts/bench_instructions.py

package: deb ## The Debian package on fresh Debian 12 machines under a real systemd (as root)
	$(PYTHON) -m pytest -q -s Tests/Package

documents: build ## Write what is made from the code: docs/permissions.md, the table of docs/threat-model.md
	POSTERN_WRITE_DOCS=1 swift test --skip-build --filter 'PermissionPageTests|HostileRelayTests|AccessTableTests'

bulk: binary ## The lossless test with a whole gibibyte, and the peaks of memory
	POSTERN_BULK_MIB=1024 POSTERN=$(POSTERN) $(PYTHON) -m pytest -q -s Tests/Integration/test_bulk.py

demo: binary ## Watch a guest type through a relay that cannot read it (ONCE=1: prove it and stop)
	@POSTERN=$(POSTERN) ONCE=$(ONCE) python3 scripts/demo.py

demo-once:
	$(MAKE) demo ONCE=1

demo-stop: ## Stop what `make demo` left running
	@POSTERN=$(POSTERN) python3 scripts/demo.py --stop

bench: binary ## Measure the relay; prints the table of docs/performance.md
	@$(SWIFT_BUILD) --product postern-bench $(RELEASE_FLAGS)
	@POSTERN=$(POSTERN) BENCH=$(CURDIR)/.build/release/postern-bench python3 scripts/bench.py
	@POSTERN=$(POSTERN) BENCH=$(CURDIR)/.build/release/postern-bench python3 scripts/bench_tls.py
	@POSTERN=$(POSTERN) $(PYTHON) scripts/bench_tunnels.py
	@POSTERN=$(POSTERN) $(PYTHON) scripts/bench_names.py
	@POSTERN=$(POSTERN) $(PYTHON) scripts/bench_machines.py
	@POSTERN=$(POSTERN) $(PYTHON) scripts/bench_browser.py

fuzz: build ## Give every parser of network bytes random and mutated input, a fixed number of times
	FUZZ_RUNS=$(FUZZ_RUNS) swift test --skip-build --quiet --filter Fuzz

fuzz-deep: setup ## The same under libFuzzer, which looks for new paths, for FUZZ_SECONDS (60); a first build takes minutes
	POSTERN_FUZZ=1 swift build --build-path .build/fuzz --sanitize fuzzer --product postern-fuzz
	@mkdir -p .build/fuzz/corpus
	.build/fuzz/debug/postern-fuzz -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -artifact_prefix=.build/fuzz/ .build/fuzz/corpus Tests/Corpus

lint: ## Formatting, forbidden imports, forbidden words
	@scripts/lint

format: ## Rewrite all Swift files in the project's style
	swift format --in-place --recursive Sources Tests Package.swift

check: lint test ## What CI runs, but for the demo
	$(MAKE) demo ONCE=1
