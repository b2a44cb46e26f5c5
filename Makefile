# Every command of the project. `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CONSOLE := services/gateway/console
VENDOR := $(CONSOLE)/web/vendor/licences.txt
ASSETS := $(CONSOLE)/built/sources.json
TOOLS := .tool-venv
# Folders with Python code; only those that exist are checked.
CODE := $(wildcard libs services deploy tests bench)
TESTS := $(wildcard tests/unit tests/contract tests/integration tests/browser)
COVERAGE_FLOOR ?= 80
DOCKER ?= docker
IMAGE ?= headgate:local
FAULTS_MINUTES ?= 60
# Deals the files of `make test` out to so many processes, each with servers of its own; 0: all in one.
WORKERS ?= 2
# Must say the same as requires-python in pyproject.toml.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
.DEFAULT_GOAL := help
.PHONY: help install assets test whole again unit integration coverage security bandit audit test-install lint format lock demo picture up bench docs faults faults-long sweep console-test outside chart image sbom release-notes clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## create .venv from the hashed lock (instant when nothing changed)

$(STAMP): requirements-dev.lock pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { echo "make: '$(PYTHON)' was not found. Install Python 3.11 or newer, or run: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c '$(SUPPORTED)' || { echo "make: Headgate needs Python 3.11 to 3.14, but '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1). Run: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "make: '$(PYTHON)' has no venv module. Install it (Debian: the package python3-venv) or run: make PYTHON=/path/to/another/python3" >&2; exit 1; }
	@rm -f $(STAMP)
	@$(BIN)/python -c '$(SUPPORTED)' 2>/dev/null || "$(PYTHON)" -m venv --clear $(VENV)
	@echo "Installing the locked packages into $(VENV) (about half a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --root-user-action=ignore --no-deps --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --root-user-action=ignore --no-deps --no-build-isolation -e .
	@$(BIN)/python -m pip check --disable-pip-version-check --quiet && touch $(STAMP)

assets: $(ASSETS) ## take from npm, locked, what the console needs, and make it small (instant when nothing changed)

$(VENDOR): deploy/assets/package-lock.json deploy/assets/build.mjs $(wildcard deploy/assets/entries/*)
	@command -v npm >/dev/null || { echo "make assets: 'npm' was not found. Install Node.js 20 or newer with npm; all but the console works without." >&2; exit 1; }
	@cd deploy/assets && npm ci --silent && node build.mjs

$(ASSETS): $(VENDOR) deploy/assets/bundle.mjs $(CONSOLE)/index.html $(shell find $(CONSOLE)/web -not -path '*/vendor*')
	@command -v npm >/dev/null || { echo "make assets: 'npm' was not found. Install Node.js 20 or newer with npm; the console is served as its sources." >&2; exit 1; }
	@cd deploy/assets && { [ -x node_modules/.bin/esbuild ] || npm ci --silent; } && node bundle.mjs

# Without coverage, whose tracing doubles the time: `make unit integration coverage` measures that, as CI's stages do.
test: install ## run unit, contract, integration and browser tests
	@mkdir -p build
	$(BIN)/python -m pytest $(TESTS) -m "not faults and not whole" -n $(WORKERS) --dist loadfile --max-worker-restart 100000; status=$$?; echo $$status >build/pytest-status; exit $$status

whole: install ## the tests that run whole installations, older versions, backups, loads and the tool (about 10 minutes)
	@mkdir -p build
	$(BIN)/python -m pytest $(TESTS) -m "whole and not faults" -n $(WORKERS) --dist loadfile --max-worker-restart 100000; status=$$?; echo $$status >build/pytest-status; exit $$status

again: install ## only the tests that failed last, one after the other; fails if there were none
	$(BIN)/python -m pytest $(TESTS) --last-failed --last-failed-no-failures none -n 0 -v

unit: install ## the tests that need no server; keeps their coverage for `make coverage`
	@mkdir -p build/coverage-data
	COVERAGE_FILE=build/coverage-data/unit $(BIN)/python -m pytest tests/unit --cov --cov-report=

integration: install ## the contract and integration tests, on real servers; keeps their coverage for `make coverage`
	@mkdir -p build/coverage-data
	COVERAGE_FILE=build/coverage-data/integration $(BIN)/python -m pytest tests/contract tests/integration tests/browser -m "not faults" --cov --cov-report=

# The data of the parts lie in a folder of their own: the reports of coverage.py take in, and remove, what lies beside theirs.
coverage: export COVERAGE_FILE := build/coverage-data/all
coverage: install ## put the coverage of both together into build/coverage; fails below COVERAGE_FLOOR (80 %)
	@mkdir -p build/coverage
	$(BIN)/coverage combine --quiet --keep build/coverage-data/unit build/coverage-data/integration
	@$(BIN)/coverage xml --quiet -o build/coverage/coverage.xml
	@$(BIN)/coverage html --quiet --directory build/coverage/html
	@$(BIN)/coverage report --format=markdown >build/coverage/summary.md
	$(BIN)/coverage report --fail-under=$(COVERAGE_FLOOR)

security: bandit audit ## what scans the code and the locks for known weaknesses

bandit: install ## scan the code for what attackers use
	$(BIN)/bandit --quiet -c pyproject.toml -r libs services deploy

audit: install ## look every locked package up in the public list of vulnerabilities; fails if that can't be asked
	@for lock in requirements.lock requirements-dev.lock; do \
		$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r $$lock || { \
			echo "make audit: $$lock is not cleared. If the lines above name no vulnerability, then the list could not be asked from here, and nothing was looked up." >&2; exit 1; }; \
	done

test-install: install ## install both locks into new environments with an old pip; fails if anything is resolved
	$(BIN)/python -m pytest tests/install

lint: install ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy --strict $(CODE)
	$(BIN)/lint-imports

format: install ## let ruff rewrite the code
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

lock: ## write both locks anew from pyproject.toml (LOCK_ARGS=--upgrade for newer versions)
	@bash deploy/lock.sh "$(PYTHON)" $(TOOLS) $(LOCK_ARGS)

demo: install ## the whole story on a private stack, in about a minute
	@$(MAKE) --no-print-directory assets || echo "make demo: going on without the console."
	@$(BIN)/python -m deploy.demo

picture: install ## tell the story and draw its main part for the README: docs/demo.svg
	@$(BIN)/python -m deploy.demo --picture docs/demo.svg

up: install ## run everything here until Ctrl-C; data stays in .headgate/
	@$(MAKE) --no-print-directory assets || echo "make up: going on without the console."
	@$(BIN)/python -m deploy.local up

bench: install ## measure throughput and latency beside floors of the same machine
	@$(BIN)/python -m bench

docs: install ## write docs/reference from the contracts, the runbooks, and what compose and Prometheus know of each service
	@$(BIN)/python -m libs.common.reference
	@$(BIN)/python -m libs.client.reference
	@$(BIN)/python -m deploy.container.files
	@$(BIN)/python -m deploy.slo_rules
	@$(BIN)/python -m deploy.dashboards
	@$(BIN)/python -m deploy.runbooks
	@$(BIN)/python -m deploy.chart

faults: install ## do harm to a running Headgate and check that nothing is lost (about 40 minutes)
	$(BIN)/python -m pytest tests/faults tests/integration -m faults -s

faults-long: install ## the same for FAULTS_MINUTES from the next seed on; needs root; results add up in .faults/
	$(BIN)/python -m tests.faults.lab --scenario all --keep --minutes $(FAULTS_MINUTES)
	$(BIN)/python -m tests.faults.lab --report

sweep: install ## every route and subject against strangers, wrong roles, foreign sites and hostile input
	$(BIN)/python -m pytest tests/contract/test_sweep.py tests/contract/test_live_sweep.py tests/contract/test_http_wire.py tests/integration/test_permissions.py

console-test: install assets ## check the console's types, and use it in a real Chromium
	@cd deploy/assets && { [ -x node_modules/.bin/tsc ] || npm ci --silent; } && node_modules/.bin/tsc -p tsconfig.json
	$(BIN)/python -m pytest tests/console -m console

outside: install ## proof with clients and tools that aren't ours, on a live stack (minutes)
	@$(BIN)/python -m tests.outside

chart: install ## render the Helm chart by Helm's engine and let others judge it (CRDS=folder: custom resources, too)
	@$(BIN)/python -m tests.chart

image: ## build the container image (DOCKER=podman builds without Docker; IMAGE_FLAGS are handed on)
	$(DOCKER) build $(IMAGE_FLAGS) --file deploy/Dockerfile --tag $(IMAGE) .

sbom: install ## list what the image holds as CycloneDX, in build/headgate.cdx.json
	@mkdir -p build
	@$(BIN)/python -W ignore -m cyclonedx_py requirements requirements.lock --pyproject pyproject.toml --output-reproducible --short-PURLs --output-file build/headgate.cdx.json
	@echo "build/headgate.cdx.json: $$(grep -c '"purl"' build/headgate.cdx.json) packages"

release-notes: ## write what CHANGELOG.md says of TAG (v1.2.0) to build/notes.md; fails if it or the version differ
	@mkdir -p build
	@grep -qx 'version = "$(TAG:v%=%)"' pyproject.toml || { echo "make release-notes: the tag $(TAG) is not the version in pyproject.toml. Set that version, then tag." >&2; exit 1; }
	@awk -v start="## [$(TAG:v%=%)]" 'index($$0, "## [") == 1 { on = index($$0, start) == 1; next } on' CHANGELOG.md >build/notes.md
	@grep -q '[^[:space:]]' build/notes.md || { echo "make release-notes: CHANGELOG.md has no section [$(TAG:v%=%)]. Give what is under [Unreleased] that name." >&2; exit 1; }

clean: ## remove what install, lint and test made (never .headgate/)
	rm -rf $(VENV) $(TOOLS) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* coverage.xml htmlcov uv.lock
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
