# Every command of the project. `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TOOLS := .tool-venv
# Folders with Python code; only those that exist are checked.
CODE := $(wildcard libs services deploy tests bench)
TESTS := $(wildcard tests/unit tests/contract tests/integration)
COVERAGE_FLOOR ?= 80
FAULTS_MINUTES ?= 60
# Must say the same as requires-python in pyproject.toml.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
.DEFAULT_GOAL := help
.PHONY: help install test test-install lint format lock demo up bench docs faults faults-long sweep outside clean

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

test: install ## run unit, contract and integration tests with coverage
	$(BIN)/python -m pytest $(TESTS) --cov --cov-report=term --cov-fail-under=$(COVERAGE_FLOOR)

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
	@$(BIN)/python -m deploy.demo

up: install ## run everything here until Ctrl-C; data stays in .headgate/
	@$(BIN)/python -m deploy.local up

bench: install ## measure throughput and latency beside floors of the same machine
	@$(BIN)/python -m bench

docs: install ## write docs/reference from the contracts
	@$(BIN)/python -m libs.common.reference

faults: install ## do harm to a running Headgate and check that nothing is lost (about 3 minutes)
	$(BIN)/python -m pytest tests/faults -m faults -s

faults-long: install ## the same for FAULTS_MINUTES from the next seed on; needs root; results add up in .faults/
	$(BIN)/python -m tests.faults.lab --scenario all --keep --minutes $(FAULTS_MINUTES)
	$(BIN)/python -m tests.faults.lab --report

sweep: install ## every route and subject against strangers, wrong roles, foreign sites and hostile input
	$(BIN)/python -m pytest tests/contract/test_sweep.py tests/contract/test_live_sweep.py tests/contract/test_http_wire.py tests/integration/test_permissions.py

outside: install ## proof with clients and tools that aren't ours, on a live stack (minutes)
	@$(BIN)/python -m tests.outside

clean: ## remove what install, lint and test made (never .headgate/)
	rm -rf $(VENV) $(TOOLS) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* coverage.xml htmlcov uv.lock
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
