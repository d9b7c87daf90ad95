# PneumoQueue: `make` lists what can be done here.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin

# Where it is set, as in many containers, each of the many processes would compile all of its packages anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run training env test test-first test-second coverage test-slow test-all test-matrix lint format lock words bench bench-peers migrate-data backup restore purge audit clean

# OpenVINO is for processors with instructions for 8-bit integers.
INTEGERS := $(shell grep -sqm1 -E 'avx512_vnni|avx_vnni|amx_int8' /proc/cpuinfo && echo yes)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp $(if $(GPU_DEVICES),$(VENV)/gpu.stamp,$(if $(filter keras,$(ENGINE)),$(VENV)/training.stamp)) $(if $(or $(INTEGERS),$(filter openvino,$(ENGINE))),$(VENV)/integers.stamp) ## Start everything on this machine (HOST, PORT, FLOWER_PORT, DICOM_PORT, DATA_DIR, ADMIN_PASSWORD, ENGINE, GPU_DEVICES)
	@exec $(BIN)/python -m compose.local.run

training: $(VENV)/run.stamp $(VENV)/training.stamp ## Install TensorFlow and what else `python -m ml` needs to train and to measure

env: ## Write a .env with random secrets for docker-compose
	@sh compose/make-env.sh

# Two processes, one for each core, with about as much to do. Only one of them loads TensorFlow. Folders of slow tests
# alone are left out, and so are the plugins that only tests in containers use: they import much.
QUICK := not (chaos or long or training or maintenance or fuzz or docker or benchmark or matrix)
# One thread for NumPy's products of matrices: two wait for each other where the other part has the other core.
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests -q -p no:celery -p no:docker_tools -m "$(QUICK)"
PARTS := agreement dicomweb waiting
SLOW := benchmarks chaos docker fuzz moving power_cut upgrades
FIRST := $(filter-out tests/webapp tests/__pycache__ $(SLOW:%=tests/%), $(patsubst %/,%,$(wildcard tests/*/))) tests/test_guard.py \
  $(PARTS:%=tests/webapp/%)
test: $(VENV)/dev.stamp ## Run the tests that take minutes in all (ARGS='-k name' for some tests)
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	@$(MAKE) --no-print-directory --keep-going --jobs=2 test-first test-second
	@echo "Left to \`make test-all\` too: the folders $(SLOW:%=tests/%)."
endif

# Printed when it ends, so that the second part's progress can be read.
test-first:
	@status=0; COVERAGE_FILE=.coverage.first $(PYTEST) $(FIRST) \
	  > $(VENV)/test-first.log 2>&1 || status=$$?; cat $(VENV)/test-first.log; exit $$status

test-second:
	@COVERAGE_FILE=.coverage.second $(PYTEST) tests/webapp $(PARTS:%=--ignore tests/webapp/%)

coverage: $(VENV)/dev.stamp ## Run the tests of calls, and report which lines and branches they reach
	$(BIN)/python -m pytest -q -m "$(QUICK) and not integration" -n 2 --dist loadfile --cov --cov-report=
	$(BIN)/coverage report | tail -12

test-slow: $(VENV)/dev.stamp $(if $(shell command -v firefox-esr),$(VENV)/firefox.stamp) ## Run the tests that `make test` leaves out: kills, trainings, backups, upgrades, speed, containers
	@status=0; \
	$(BIN)/python -m pytest -m "(chaos or long or training or maintenance or fuzz or benchmark) and not matrix" $(ARGS) || status=$$?; \
	$(BIN)/python -m pytest -m docker tests/docker/workers tests/docker $(ARGS) || status=$$?; \
	exit $$status

test-all: ## Run every test that this machine can run
	@status=0; for part in test test-slow test-matrix; do $(MAKE) --no-print-directory $$part || status=$$?; done; \
	exit $$status

test-matrix: $(VENV)/dev.stamp ## Run the tests on each database, broker and storage, in containers (about 20 minutes)
	$(BIN)/python -m tests.matrix $(ARGS)

lint: $(VENV)/dev.stamp ## Check style, types, the direction of imports, spelling and templates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/typos
	find webapp -path '*/templates/*.html' -exec $(BIN)/djade --target-version 5.2 --check {} +

format: $(VENV)/dev.stamp ## Put the code into its one format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(VENV)/dev.stamp ## Measure images a second, end to end, beside the bare engine
	$(BIN)/python -m pytest -m benchmark -s tests/benchmarks tests/browser $(ARGS)

# An environment of their own: they bring other servers, and need TensorFlow.
PEERS := .venv-peers
bench-peers: $(VENV)/dev.stamp $(PEERS)/peers.stamp ## Measure other ways to serve the same network beside this one (ARGS=litserve/mnn)
	$(BIN)/python -m tests.benchmarks.peers $(ARGS)

$(PEERS)/peers.stamp: requirements/peers.txt | $(BIN)/uv
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(PEERS)
	@UV_SYSTEM_CERTS=1 $(BIN)/uv pip install --python $(PEERS)/bin/python --require-hashes -r $< 2>&1 | $(LESS)
	@touch $@

migrate-data: $(VENV)/run.stamp ## Move a DATA_DIR to another database and storage (FROM=folder TO=database's URL)
	@DATABASE_URL="$(or $(TO),$(error TO=… names the target database))" \
	  $(BIN)/python manage.py migrate_data "$(or $(FROM),$(error FROM=… names the DATA_DIR))"

backup: $(VENV)/run.stamp ## Write a backup of the running service (FILE=name.tar)
	@$(BIN)/python manage.py backup "$(or $(FILE),$(error FILE=… names the backup))"

restore: $(VENV)/run.stamp ## Restore a backup into an empty installation (FILE=name.tar)
	@$(BIN)/python manage.py restore "$(or $(FILE),$(error FILE=… names the backup))"

purge: $(VENV)/run.stamp ## Delete what has expired and files that no row names (ARGS=--dry-run only reports)
	@$(BIN)/python manage.py purge $(ARGS)

audit: $(VENV)/run.stamp ## Verify the audit (ARGS=export writes it out)
	@$(BIN)/python manage.py audit $(or $(ARGS),verify)

# One lock holds every package of every list, so that the environments never differ in a version.
LOCK := $(BIN)/uv pip compile --no-config --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-header --quiet $(ARGS)
lock: | $(BIN)/uv ## Renew the hashed locks (ARGS=--upgrade for newer versions)
	@$(LOCK) --output-file requirements/bootstrap.txt requirements/bootstrap.in
	@$(LOCK) --output-file requirements/lock.txt requirements/dev.in requirements/gpu.in requirements/firefox.in
	@$(LOCK) --constraints requirements/lock.txt --output-file requirements/peers.txt requirements/peers.in

words: $(VENV)/dev.stamp ## Collect the words of pages and compile their translations (needs gettext; see docs/words.md)
	@cd webapp && export PYTHONPATH=.. DJANGO_SETTINGS_MODULE=webapp.config.settings; \
	for domain in django djangojs; do \
	  $(abspath $(BIN))/django-admin makemessages -l ne -d $$domain --no-obsolete --no-location --no-wrap -v0; \
	done; \
	$(abspath $(BIN))/django-admin compilemessages -l ne -v0

clean: ## Remove the virtual environment and caches; what the service stored in var/ stays
	rm -rf $(VENV) $(PEERS) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -not -path './var/*' -prune -exec rm -rf {} +

# uv, checked against the hashes in bootstrap.txt, is all that pip installs. Debian's Python has no ensurepip unless
# python3-venv is installed; then the system's pip does it.
$(BIN)/uv: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "PneumoQueue needs Python 3.11 or newer; name it with PYTHON=..." >&2; exit 2; }
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv --without-pip $(VENV)
	@if $(BIN)/python -m ensurepip --default-pip >/dev/null 2>&1; then pip="$(BIN)/python -m pip"; \
	else pip="$(PYTHON) -m pip --python $(BIN)/python"; fi; \
	$$pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt || \
	  { echo "uv could not be installed. If Python has no pip (Debian): apt-get install python3-pip" >&2; exit 2; }
	@touch $@

# uv checks each package against the hashes in lock.txt, and trusts the certificates that the system trusts. Of what it
# prints, the list of all packages, its own steps and small downloads are left out.
INSTALL := UV_SYSTEM_CERTS=1 $(BIN)/uv pip install --python $(BIN)/python -c requirements/lock.txt -r
LESS := sed -uE '/^ [-+~] |^(Using|Resolved|Prepared|Installed|Uninstalled| Downloaded)|\(([0-9.]+KiB|[0-9](\.[0-9]+)?MiB)\)$$/d'
DOWNLOAD_run := 200 MB
DOWNLOAD_training := another 360 MB
DOWNLOAD_integers := another 50 MB
$(VENV)/%.stamp: requirements/%.in requirements/lock.txt $(wildcard requirements/*.in) | $(BIN)/uv
	@echo "Installing $<$(if $(DOWNLOAD_$*), (the first time, $(DOWNLOAD_$*) are downloaded))"
	@$(INSTALL) $< 2>&1 | $(LESS)
	@touch $@

# Keep a stamp whose target was interrupted from counting as installed.
.DELETE_ON_ERROR:
