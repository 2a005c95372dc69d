# The front door. Each target is a verb; CI calls `test`, `lint`, `docs`, `e2e-gates` and `e2e-istio`, nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/sh
CARGO ?= cargo
WASM := dist/emac-filter.wasm
NATIVE := dist/libemac_filter.so
# Where cargo builds; what is made here besides goes there too.
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help demo test tools sdks build wasm native proto lint fmt golden fuzz e2e e2e-gates e2e-istio e2e-replicas bench bench-scale calibration docs deny mutants oracle verify clean

help: ## This help
	@awk 'BEGIN {FS = ":.*## "; print "make <target>\n"} /^[a-z0-9-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nA fresh machine needs Linux, rustup, python3 with pip, make and a C compiler.\n'

demo: tools wasm ## The checkout journey through real Envoys: six phases, first observing, then enforcing (about 3 minutes)
	@$(CARGO) build --quiet --release -p emac-control-plane -p emac-tests --bins
	@$(TARGET)/release/demo $(ARGS)

test: tools sdks wasm native ## Every test, the scenarios with real Envoys with both shells of the filter; ends with the list of what could not run here, and why
	@rm -f $(TARGET)/not-run.txt
	$(CARGO) test --workspace
	EMAC_SHELL=native $(CARGO) test -p emac-tests --test e2e
	@if [ -s $(TARGET)/not-run.txt ]; then sort -u $(TARGET)/not-run.txt; else echo "everything ran"; fi

tools: ## Fetch what demo and tests need (Envoy, Prometheus, wasm target) into .tools, once
	@sh tests/setup/tools.sh

sdks: ## Fetch the OpenTelemetry packages that applications use (five languages) into .tools, once; about a minute
	@sh tests/setup/sdks.sh

build: ## Build everything (debug)
	$(CARGO) build --workspace

wasm: ## Build the filter that ships: dist/emac-filter.wasm
	@CARGO="$(CARGO)" sh filter/build.sh
	@printf '%s %s bytes\n' $(WASM) "$$(wc -c < $(WASM))"

native: ## Build the native shell that ships: dist/libemac_filter.so
	@CARGO="$(CARGO)" sh filter/native/build.sh
	@printf '%s %s bytes\n' $(NATIVE) "$$(wc -c < $(NATIVE))"

proto: ## Generate proto/src/generated from the .proto files
	EMAC_REGENERATE=1 $(CARGO) test --quiet -p emac-proto --test generated

lint: ## Formatting and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy -p emac-filter --target wasm32-wasip1 -- -D warnings

fmt: ## Format
	$(CARGO) fmt --all

golden: ## Rewrite golden files; review the diff
	EMAC_REGENERATE=1 INSTA_UPDATE=always $(CARGO) test --workspace

fuzz: tools wasm ## Fuzz every decoder for longer (EMAC_FUZZ_SECONDS, default 60 each)
	EMAC_FUZZ_SECONDS=$${EMAC_FUZZ_SECONDS:-60} $(CARGO) test --release -p emac-tests --test fuzz -- --nocapture

e2e: tools sdks wasm native ## Only the scenarios with real Envoys, with both shells (EMAC_SHELL=wasm or native for one)
	@for shell in $${EMAC_SHELL:-wasm native}; do EMAC_SHELL=$$shell $(CARGO) test -p emac-tests --test e2e -- --nocapture || exit 1; done

e2e-istio: tools wasm ## The scenario in a real Istio; builds its parts from Go modules once (about 10 minutes), then takes some 5
	@sh tests/setup/istio.sh
	@$(CARGO) build --quiet -p emac-control-plane
	@rm -f $(TARGET)/not-run.txt
	$(CARGO) test -p emac-tests --test e2e-istio -- $(ARGS)

e2e-gates: tools ## Canary analyses, dashboards, queries, alerts and admission judged by the real controllers, Sloth, Prometheus and a Kubernetes API; builds them once (about 10 minutes), then takes some 12
	@sh tests/setup/gates.sh
	@$(CARGO) build --quiet -p emac-control-plane
	@rm -f $(TARGET)/not-run.txt
	$(CARGO) test -p emac-tests --test gates -- --nocapture $(ARGS)
	$(CARGO) test -p emac-tests --test e2e-gates -- $(ARGS)

e2e-replicas: tools ## Three control planes on three NATS servers under load: planner, replicas and servers killed, frozen, cut off and replaced (about 2 minutes)
	EMAC_REPLICAS_LONG=1 $(CARGO) test -p emac-control-plane --test replicas -- --nocapture --test-threads=1

bench: tools wasm ## Measure, side by side, into bench/results.md
	$(CARGO) build --release -p emac-control-plane -p emac-tests --bins
	$(TARGET)/release/bench all --out bench/results.md

bench-scale: ## How the control plane keeps up with 100 to 10 000 sidecars, into bench/scale.md (about 15 minutes; ARGS='--sidecars 1000' for a part, ARGS=--simulate for what lies beyond)
	$(CARGO) build --release -p emac-control-plane -p emac-tests --bin emac --bin bench-scale
	$(TARGET)/release/bench-scale --out bench/scale.md $(ARGS)

docs: ## Reference documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

calibration: ## Whether confidence is what it says, on 60 worlds of each family from another generator (about 3 minutes); prints the table of bench/results.md
	EMAC_WORLDS=$${EMAC_WORLDS:-60} $(CARGO) test -p emac-tests --test discover claims_hold_in_worlds -- --nocapture

deny: ## Licences, advisories and duplicate versions (needs cargo-deny)
	@command -v cargo-deny >/dev/null || { echo "not run: cargo-deny is not installed (cargo install cargo-deny)"; exit 0; }; cargo deny check bans licenses sources

mutants: ## Which changes to core its own tests do not notice (needs cargo-mutants; an hour or more); ARGS='--file core/src/enforce*' for a part
	@command -v cargo-mutants >/dev/null || { echo "not run: cargo-mutants is not installed (cargo install cargo-mutants)"; exit 0; }; PROPTEST_DISABLE_FAILURE_PERSISTENCE=1 cargo mutants -p emac-core $(ARGS)

oracle: ## Bounds of 10 000 random expressions of each kind against exact enumeration (some minutes)
	EMAC_ORACLE=10000 $(CARGO) test --release -p emac-core --lib oracle -- --nocapture

verify: lint test docs deny ## What a pull request must pass

clean: ## Remove what was built; keeps .tools
	$(CARGO) clean
	rm -rf dist
