# demo   the whole service on this machine, with a sample world      test   everything, browser tests included
# check  format, lint, types, import rules, guards                   bench  measure, and write docs/performance.md
# PORT_BASE (20000), DATA (demo-data), RESET=1 and READY_FILE are for `make demo`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT_BASE ?= 20000
DATA ?= demo-data
JOBS ?= 2
# The order of tests and their chance: the same everywhere, another with `make test SEED=7`.
SEED ?= 20261122

.PHONY: demo test check bench format reference coverage lock clean

demo: $(VENV)/.ready
	@exec $(BIN)/carepost demo --port-base $(PORT_BASE) --data $(DATA) $(if $(RESET),--reset) $(if $(READY_FILE),--ready-file $(READY_FILE))

test: $(VENV)/.ready-for-tests
	@tools/test_programs.sh
	$(BIN)/python tools/run_tests.py -q -n $(JOBS) --dist worksteal --randomly-seed=$(SEED)

# Lines of gateway, message, store and audit must stay covered: at least 90 %.
coverage: $(VENV)/.ready-for-tests
	@tools/test_programs.sh
	$(BIN)/pytest -q -n $(JOBS) --dist worksteal --cov --cov-report=term:skip-covered
	$(BIN)/coverage report --include='src/carepost/gateway/*,src/carepost/message/*,src/carepost/store/*,src/carepost/audit/*' --fail-under=90

check: $(VENV)/.ready-for-tests
	$(BIN)/ruff format --check src tests tools bench
	$(BIN)/ruff check src tests tools bench
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/guard

format: $(VENV)/.ready-for-tests
	$(BIN)/ruff format src tests tools bench
	$(BIN)/ruff check --fix src tests tools bench

# The pages that are made from what the program says of itself; a guard fails when they are stale.
reference: $(VENV)/.ready-for-tests
	$(BIN)/python tools/make_reference.py

bench: $(VENV)/.ready-for-tests
	$(BIN)/python -m bench
	$(BIN)/python tools/make_reference.py

# After a change of the dependencies in pyproject.toml.
lock: $(VENV)/.ready-for-tests
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header -q -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-header -q -o requirements-dev.lock

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit("Carepost needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.11") if sys.version_info < (3, 11) else None'
	@echo "Setting up in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: requirements.lock pyproject.toml | $(VENV)/bin/pip
	@echo "Installing what Carepost runs on (about half a minute the first time) ..."
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.ready-for-tests: requirements-dev.lock $(VENV)/.ready
	@echo "Installing what its tests need ..."
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
