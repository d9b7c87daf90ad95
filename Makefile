# PneumoQueue: `make` lists what can be done here.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
LOCKS := bootstrap web runtime observability dev gpu cpu

.PHONY: help run env test test-matrix lint format lock bench migrate-data backup restore clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/runtime.stamp ## Start everything on this machine (PORT, FLOWER_PORT, DATA_DIR, ADMIN_PASSWORD)
	@exec $(BIN)/python -m compose.local.run

env: ## Write a .env with random secrets for docker-compose
	@sh compose/make-env.sh

test: $(VENV)/dev.stamp ## Run every test that this machine can run (ARGS='-k name' for some)
	$(BIN)/python -m pytest $(ARGS)

test-matrix: $(VENV)/dev.stamp ## Run the tests on each database, broker and storage, in containers (about 20 minutes)
	$(BIN)/python -m tests.matrix $(ARGS)

lint: $(VENV)/dev.stamp ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev.stamp ## Put the code into its one format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(VENV)/dev.stamp ## Measure images a second, end to end, beside the bare engine
	$(BIN)/python -m pytest -m benchmark -s tests/benchmarks $(ARGS)

migrate-data: $(VENV)/runtime.stamp ## Bring a DATA_DIR to another database and storage (FROM=folder TO=database's URL)
	@DATABASE_URL="$(or $(TO),$(error TO=… names the target database))" \
	  $(BIN)/python manage.py migrate_data "$(or $(FROM),$(error FROM=… names the DATA_DIR))"

backup: $(VENV)/runtime.stamp ## Write a backup of the running service (FILE=name.tar)
	@$(BIN)/python manage.py backup "$(or $(FILE),$(error FILE=… names the backup))"

restore: $(VENV)/runtime.stamp ## Restore a backup into an empty installation (FILE=name.tar)
	@$(BIN)/python manage.py restore "$(or $(FILE),$(error FILE=… names the backup))"

# This machine's pip settings must leave no trace in a lock. Each lock is bound by the one before it, so that the
# environments differ by what they add and never in a version.
lock: $(VENV)/dev.stamp ## Renew the hashed locks (ARGS=--upgrade for newer versions)
	@for name in $(LOCKS); do \
	  case $$name in \
	    runtime) bound="-c requirements/web.txt" ;; \
	    observability|gpu|cpu) bound="-c requirements/runtime.txt" ;; \
	    dev) bound="-c requirements/runtime.txt -c requirements/observability.txt" ;; \
	    *) bound="" ;; \
	  esac; \
	  echo "requirements/$$name.txt"; \
	  env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null $(BIN)/pip-compile --quiet \
	    --generate-hashes --allow-unsafe --strip-extras --no-header \
	    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	    $$bound $(ARGS) --output-file requirements/$$name.txt requirements/$$name.in; \
	done

clean: ## Remove the virtual environment and caches; what the service stored in var/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -not -path './var/*' -prune -exec rm -rf {} +

# Debian's Python comes without ensurepip unless python3-venv is installed; then virtualenv makes the environment.
$(BIN)/python:
	@if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
	  $(PYTHON) -m venv $(VENV); \
	else \
	  tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
	  $(PYTHON) -m pip install --quiet --target "$$tools" --require-hashes -r requirements/bootstrap.txt; \
	  PYTHONPATH="$$tools" $(PYTHON) -m virtualenv --quiet --no-periodic-update $(VENV); \
	fi

$(VENV)/%.stamp: requirements/%.txt | $(BIN)/python
	@echo "Installing requirements/$*.txt into $(VENV) (the first time takes about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$*.txt
	@touch $@

# Keep a stamp whose target was interrupted from counting as installed.
.DELETE_ON_ERROR:
