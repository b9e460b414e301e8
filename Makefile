# Every command of this repository; CI calls only these targets. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first Python 3.11 or newer that can make a virtual environment.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := tests/conformance/requirements.txt
HOST ?= 127.0.0.1
PORT ?= 8000
ARGS ?=
# Two cores are what continuous integration has; a process that is done takes tests from the other.
WORKERS ?= 2
PARALLEL := --numprocesses $(WORKERS) --dist worksteal
TARGETS ?= $(notdir $(basename $(wildcard rust/fuzz/targets/*.rs)))
FUZZ_SECONDS ?= 60
# The fuzz targets are a workspace of their own.
FUZZ := --manifest-path rust/fuzz/Cargo.toml --target-dir target/fuzz

RUST_SOURCES := $(shell find rust -path rust/fuzz -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print) Cargo.toml Cargo.lock
LINTED := python tests benches examples

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-20s %s\n", $$1, $$2 }'

$(VENV)/packages: pyproject.toml $(CONSTRAINTS)
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer with venv was found; set PYTHON=" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --group dev \
		$$($(BIN)/python -c 'import sysconfig; print("" if sysconfig.get_config_var("Py_GIL_DISABLED") else "--group gil")') \
		$$($(BIN)/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*p["dependencies"], *p["optional-dependencies"]["standard"])')
	touch $@

# An editable install: Python files are used where they are; a change in Rust or of the start-up file builds again.
$(VENV)/extension: $(VENV)/packages $(RUST_SOURCES) python/ferroapi.data/platlib/ferroapi_alias.pth
	@command -v cargo >/dev/null || { echo "cargo was not found; Rust is needed to build ferroapi" >&2; exit 1; }
	@mkdir -p target
	@echo "building the extension (the first time takes minutes; log: target/build.log)"
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release >target/build.log 2>&1 || { cat target/build.log >&2; exit 1; }
	touch $@

.PHONY: build
build: $(VENV)/extension ## Make .venv if it is missing and build the extension into it

.PHONY: run
run: build ## Serve the example application at http://127.0.0.1:8000 (HOST=, PORT=)
	@printf '%s\n' "Serving the example at http://$(HOST):$(PORT)/docs - try:" ""
	@sed 's#@HOST@#$(HOST):$(PORT)#g' examples/curl.txt
	@cd examples && ../$(BIN)/python -m uvicorn service.main:app --host $(HOST) --port $(PORT)

.PHONY: test
test: build ## Run the Rust tests and the Python tests, and print the counts (ARGS= for pytest, WORKERS=0 for one process)
	@mkdir -p target
	{ cargo test --locked --workspace --exclude ferroapi-core && cargo test --locked $(FUZZ); } 2>&1 | tee target/cargo-test.log
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS) 2>&1 | tee target/pytest.log
	@awk '/^test result:/ { passed += $$4; failed += $$6 } END { printf "rust: %d passed, %d failed\n", passed, failed }' target/cargo-test.log
	@printf 'python: %s\n' "$$(tail -n 1 target/pytest.log | sed -E 's/\x1b\[[0-9;]*m//g; s/^=+ //; s/ =+$$//')"

# `hypothesis` is the mark that its plugin gives to every property; `tests/house/test_properties.py` sees that all have it.
VERSIONS ?= 3.12 3.13 3.14 3.14t

.PHONY: test-versions
test-versions: ## Run the Python tests on each other Python that is found, and name those that are not (VERSIONS=, ARGS=)
	@for version in $(VERSIONS); do \
		found=; \
		for python in "python$$version" "$$HOME/.pyenv/versions/$$version".*/bin/python; do \
			"$$python" -c 'import ensurepip, venv' 2>/dev/null && { found=$$python; break; }; \
		done; \
		if test -z "$$found"; then echo "::: Python $$version: skipped, not found"; continue; fi; \
		echo "::: Python $$version: $$found"; \
		CARGO_TARGET_DIR=target/$$version $(MAKE) build VENV=target/venv-$$version PYTHON="$$found"; \
		target/venv-$$version/bin/python -m pytest $(PARALLEL) $(ARGS); \
	done

# The versions are put over those of the tests' own tools, which may ask for others; what requests cost is counted for the
# pinned ones only, so the benches' tests stay out. The packages of tests/integrations ask
# for newer ones to do their work, and old versions use what Python and their dependencies have deprecated since: the
# variable is for the processes that tests start. The pages of docs/ say what is so with the newest ones.
OLDEST := --ignore tests/integrations --ignore tests/docs -W ignore::DeprecationWarning

.PHONY: test-oldest
test-oldest: ## Run tests and conformance on the oldest versions that pyproject.toml allows (over an hour beside other work; ARGS= for pytest)
	PYTHONWARNINGS=ignore::DeprecationWarning $(MAKE) test-bounds BOUND=oldest RESOLUTION=lowest-direct ARGS="$(OLDEST) $(ARGS)"

.PHONY: test-newest
test-newest: ## Run tests and conformance on the newest versions that pyproject.toml allows (over an hour beside other work; ARGS= for pytest)
	$(MAKE) test-bounds BOUND=newest RESOLUTION=highest

.PHONY: test-bounds
test-bounds:
	CARGO_TARGET_DIR=target/bounds $(MAKE) build VENV=target/venv-$(BOUND)
	rm -f target/$(BOUND).txt
	target/venv-$(BOUND)/bin/uv pip compile --quiet --resolution $(RESOLUTION) --python target/venv-$(BOUND)/bin/python \
		--extra all --output-file target/$(BOUND).txt pyproject.toml
	target/venv-$(BOUND)/bin/uv pip install --no-deps --python target/venv-$(BOUND)/bin/python --requirement target/$(BOUND).txt
	target/venv-$(BOUND)/bin/python -m pytest $(PARALLEL) --ignore tests/benches $(ARGS)
	target/venv-$(BOUND)/bin/python tests/conformance/run.py --versions target/$(BOUND).txt

.PHONY: test-deep
test-deep: build ## Run the properties with many more examples, at random (more than half an hour; ARGS= for pytest)
	PROPTEST_CASES=20000 cargo test --locked --release --workspace --exclude ferroapi-core
	PROPTEST_CASES=20000 cargo test --locked --release $(FUZZ)
	HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest -m hypothesis $(PARALLEL) --timeout 3000 $(ARGS)

# The benches, and the tests of the wings' own insides, say nothing about what stands in their place.
.PHONY: test-plain
test-plain: build ## Run tests and conformance with nothing standing for other libraries' code (over an hour beside other work; ARGS= for pytest)
	FERROAPI_PLAIN=1 $(BIN)/python -m pytest $(PARALLEL) --ignore tests/benches --ignore tests/server $(ARGS)
	FERROAPI_PLAIN=1 $(BIN)/python tests/conformance/run.py

# What `cargo fuzz` passes to the compiler; the variable admits `-Z` on the stable one. The target is named so that build
# scripts and procedural macros are built without.
FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-trace-compares \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1 \
	-Zsanitizer=address --cfg fuzzing
FUZZ_HOST = $(shell rustc --version --verbose | sed -n 's/^host: //p')

.PHONY: fuzz
fuzz: ## Feed the parsers of rust/wire and rust/http with libFuzzer, target after target (TARGETS=, FUZZ_SECONDS= for each)
	RUSTC_BOOTSTRAP=1 RUSTFLAGS="$(FUZZ_FLAGS)" cargo build --locked $(FUZZ) --profile fuzz --features libfuzzer --target $(FUZZ_HOST)
	@mkdir -p target/fuzz/failures
	@for target in $(TARGETS); do \
		corpus=target/fuzz/corpus/$$target; log=target/fuzz/$$target.log; mkdir -p $$corpus; \
		target/fuzz/$(FUZZ_HOST)/fuzz/$$target -max_total_time=$(FUZZ_SECONDS) -max_len=2048 -dict=rust/fuzz/words.dict \
			-artifact_prefix=target/fuzz/failures/$$target- $$corpus rust/fuzz/seeds/$$target >$$log 2>&1 \
			|| { tail -n 60 $$log >&2; exit 1; }; \
		sed -nE "s/^#([0-9]+)\tDONE +cov: ([0-9]+).* corp: ([0-9]+).*/$$target: \1 executions, \2 edges, \3 inputs kept/p" $$log; \
	done

.PHONY: conformance
conformance: build ## Run FastAPI's own test suite under the alias (ARGS= for a part, see tests/conformance/README.md)
	$(BIN)/python tests/conformance/run.py $(ARGS)

.PHONY: conformance-socket
conformance-socket: build ## Run the same suite against a server on the engine's HTTP protocol, over a socket
	$(BIN)/python tests/conformance/run.py --socket $(ARGS)

.PHONY: conformance-migrated
conformance-migrated: build ## Run the tutorial of FastAPI after `ferroapi migrate`, without the alias
	$(BIN)/python tests/conformance/run.py --migrated $(ARGS)

.PHONY: conformance-openapi
conformance-openapi: build ## Compare the OpenAPI documents of every application in FastAPI's suite with FastAPI's
	$(BIN)/python tests/conformance/openapi.py $(ARGS)

.PHONY: conformance-server
conformance-server: build ## Run uvicorn's own tests of an HTTP protocol on the engine's
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --group server
	$(BIN)/python tests/conformance/server.py $(ARGS)

.PHONY: conformance-cadwyn
conformance-cadwyn: build ## Run cadwyn's own tests under the alias (about 2 minutes; ARGS= for a part)
	$(BIN)/python tests/conformance/cadwyn.py $(ARGS)

# Ray is no dependency of the project: it gets an environment of its own, which is kept. Two replicas, Ray's own processes
# and the test share one machine, which takes about 2 GB of memory.
RAY_VENV := target/venv-ray

$(RAY_VENV)/packages: tests/ray_serve/requirements.txt
	test -x $(RAY_VENV)/bin/python || $(BIN)/python -m venv $(RAY_VENV)
	$(RAY_VENV)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(RAY_VENV)/bin/python -m pip install --quiet --constraint $(CONSTRAINTS) --requirement $<
	touch $@

.PHONY: test-ray
test-ray: build $(RAY_VENV)/packages ## Run the example of Ray Serve on two replicas, under the alias (about 2 minutes; ARGS= for pytest)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(RAY_VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	FERROAPI_ALIAS=1 RAY_AUTH_MODE=disabled RAY_USAGE_STATS_ENABLED=0 PYTHONPATH=examples/ray_serve \
		$(RAY_VENV)/bin/python -m pytest -c tests/ray_serve/pytest.ini --rootdir . tests/ray_serve $(ARGS)

.PHONY: upstream
upstream: build ## Report what another FastAPI release changes (VERSION=, default the newest; SINCE=, default ours; ARGS= for pytest)
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --group upstream
	$(BIN)/python tests/conformance/upstream.py $(addprefix --version ,$(VERSION)) $(addprefix --since ,$(SINCE)) \
		--output target/upstream.md $(ARGS)

.PHONY: bench
bench: build ## Measure beside FastAPI and raw ASGI, into benches/results.json and docs/benchmarks.md (ARGS=--peers: others too)
	$(if $(filter --peers,$(ARGS)),$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --group peers)
	$(BIN)/python -m benches $(ARGS)

.PHONY: soak
soak: build ## Make a million requests of every kind and fail where memory grows (minutes; ARGS="--requests 100000 --each")
	$(BIN)/python -m benches.soak $(ARGS)

.PHONY: soak-server
soak-server: build ## Serve a million requests beside clients that leave, stall and send rubbish (ARGS="--requests 100000")
	$(BIN)/python -m benches.soak_server $(ARGS)

.PHONY: bench-gate
bench-gate: build ## Fail where a request takes 3% more instructions than committed (needs valgrind; ARGS=--update)
	$(BIN)/python -m benches.python.instructions $(ARGS)

.PHONY: docs
docs: $(VENV)/packages ## Build the site of docs/ into target/site; a warning is an error
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --group docs
	if [ -f benches/results.json ]; then $(BIN)/python -m benches.report; fi
	@# The stub of the options says each text twice: the reference is made of a copy without it.
	@rm -rf target/documented && mkdir -p target/documented
	@tar --create --directory python --exclude '*.so' --exclude _options.pyi ferroapi | tar --extract --directory target/documented
	$(BIN)/zensical build --strict --clean

# What is written for the free-threaded Python is compiled without one: the file says what PyO3 would ask it.
.PHONY: lint
lint: build ## Check formatting, lints, types, the extension's stub and the licences of its crates
	cargo fmt --all --check
	cargo fmt --manifest-path rust/fuzz/Cargo.toml --check
	cargo clippy --locked --quiet --workspace --all-targets -- --deny warnings
	cargo clippy --locked --quiet $(FUZZ) --all-targets --all-features -- --deny warnings
	PYO3_CONFIG_FILE=$(CURDIR)/rust/core/free-threaded.txt cargo clippy --locked --quiet --package ferroapi-core \
		--target-dir target/free-threaded -- --deny warnings
	$(BIN)/ruff check $(LINTED)
	$(BIN)/ruff format --check $(LINTED)
	$(BIN)/mypy
	$(BIN)/pyright
	MYPYPATH=python $(BIN)/stubtest ferroapi._core --mypy-config-file pyproject.toml --allowlist tests/house/stubtest-allowlist.txt
	$(BIN)/python tests/packaging/third_party_licenses.py --check

.PHONY: format
format: $(VENV)/packages ## Format the sources and apply the safe fixes
	cargo fmt --all
	cargo fmt --manifest-path rust/fuzz/Cargo.toml
	$(BIN)/ruff check --fix --quiet $(LINTED) || true
	$(BIN)/ruff format $(LINTED)

.PHONY: licenses
licenses: $(VENV)/packages ## Write the licences of the crates in the extension, into THIRD-PARTY-LICENSES.txt
	$(BIN)/python tests/packaging/third_party_licenses.py

.PHONY: options-stub
options-stub: build ## Write the options with their texts as editors read them, into python/ferroapi/_options.pyi
	$(BIN)/python tests/typing/options_stub.py

BUILD_WHEEL = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/maturin build --release --zig --compatibility manylinux_2_17
PGO ?= 1
PROFDATA = $(shell rustc --print sysroot)/lib/rustlib/$(FUZZ_HOST)/bin/llvm-profdata
PROFILE := $(VENV)/profile/cases.profdata
PROFILE_USED = $(if $(PGO),$(if $(wildcard $(PROFDATA)),$(PROFILE)))

# What the benches' cases do on a build that counts it. Zig's linker refuses that build, so that of the machine links it;
# cargo is told zig's all the same, because the names in a profile depend on it, and a profile of other names has no effect.
$(PROFILE): $(VENV)/packages $(RUST_SOURCES) benches/python/profiled.py
	rm -rf $(@D)
	mkdir -p $(@D)
	CARGO_TARGET_DIR=target/instrumented RUSTFLAGS="-Cprofile-generate=$(CURDIR)/$(@D)/build -Clinker=cc" \
		$(BUILD_WHEEL) --quiet --skip-auditwheel --interpreter $(BIN)/python --out $(@D)
	$(BIN)/python -m pip install --quiet --no-deps --target $(@D)/package $(@D)/*.whl
	LLVM_PROFILE_FILE=$(CURDIR)/$(@D)/%m.profraw PYTHONPATH=$(@D)/package PYDANTIC_DISABLE_PLUGINS=1 \
		$(BIN)/python -m benches.python.profiled
	$(PROFDATA) merge --output $@ $(@D)/*.profraw

.PHONY: wheel
wheel: build ## Build a profiled manylinux wheel into dist/ and try it in an empty environment without Rust (PGO= for none)
	rm -rf dist
	@$(if $(PROFILE_USED),,echo "without a profile$(if $(PGO),: llvm-profdata is missing (rustup component add llvm-tools))" >&2)
	$(if $(PROFILE_USED),$(MAKE) $(PROFILE_USED))
	$(if $(PROFILE_USED),RUSTFLAGS=-Cprofile-use=$(CURDIR)/$(PROFILE_USED)) $(BUILD_WHEEL) --interpreter $(BIN)/python --out dist
	$(BIN)/python tests/packaging/check_distribution.py dist/*.whl

.PHONY: wheels
wheels: build ## Build a wheel into dist/ for each CPython that this machine has, and try each in an empty environment
	rm -f dist/*.whl
	@for version in 3.11 3.12 3.13 3.14 3.14t; do \
		found=; \
		for python in "python$$version" "$$HOME/.pyenv/versions/$$version".*/bin/python; do \
			"$$python" -c 'import ensurepip' 2>/dev/null && { found=$$("$$python" -c 'import sys; print(sys.executable)'); break; }; \
		done; \
		if test -z "$$found"; then echo "Python $$version: not here"; continue; fi; \
		$(BUILD_WHEEL) --quiet --interpreter "$$found" --out dist/"$$version" && \
		"$$found" tests/packaging/check_distribution.py dist/"$$version"/*.whl && \
		mv dist/"$$version"/*.whl dist/ && rmdir dist/"$$version" || exit 1; \
	done
	@ls dist

.PHONY: sdist
sdist: build ## Build the source distribution into dist/, install it with pip into an empty environment and serve a request
	rm -f dist/*.tar.gz
	$(BIN)/maturin sdist --out dist
	@# All files of a source distribution have one old date, by which cargo would keep what it built of ours before.
	cargo clean --quiet --release --target-dir target/sdist --package ferroapi-core --package http --package wire
	CARGO_TARGET_DIR=$(CURDIR)/target/sdist $(BIN)/python tests/packaging/check_distribution.py dist/*.tar.gz

.PHONY: clean
clean: ## Remove what was built; the next target makes it again
	rm -rf $(VENV) target dist
	find python -name '*.so' -delete
