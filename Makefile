# Two commands matter: `make demo` installs and runs the main job, `make test` runs every check.
# Each builds its own virtual environment in .venv and needs only Python 3.11 or newer, git, make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEER := .venv-peer
# Processes that share the tests; 0 runs them in one, which is kinder to a debugger.
WORKERS ?= 2
PEER_NEXT := .venv-peer-next

.PHONY: demo test lint types unit contract contract-next bench clean services

$(VENV)/.installed: pyproject.toml
	@echo "Building the virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# The peer's published package, in an environment of its own: a client to be compatible with and
# an opponent to be measured against. Penstock never imports it.
$(PEER)/.installed:
	@echo "Building the peer client's environment in $(PEER) ..."
	@$(PYTHON) -m venv $(PEER)
	@$(PEER)/bin/python -m pip install --quiet --disable-pip-version-check \
		'prefect==3.7.4' 'fastapi<0.137' 'sqlalchemy<2.1'
	@touch $@

$(PEER_NEXT)/.installed:
	@echo "Building the environment of the peer's newest compatible release in $(PEER_NEXT) ..."
	@$(PYTHON) -m venv $(PEER_NEXT)
	@$(PEER_NEXT)/bin/python -m pip install --quiet --disable-pip-version-check 'prefect==3.7.8'
	@touch $@

demo: $(VENV)/.installed ## install and run the time zone pipeline
	@$(BIN)/python examples/timezones.py

test: lint types unit contract ## every check that must be green

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed
	$(BIN)/pyright --pythonpath $(BIN)/python

# Scratch files go to memory where the system has such a place, and PostgreSQL does not wait for its
# disk: no test cuts the power, and the databases are gone afterwards.
unit: export TMPDIR := $(shell test -w /dev/shm && echo /dev/shm || echo /tmp)
unit: export PENSTOCK_TEST_POSTGRES ?= postgresql://postgres@127.0.0.1:5432/test?options=-csynchronous_commit%3Doff
unit: $(VENV)/.installed services
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal --ignore=tests/contract/test_peer_client.py \
		--ignore=tests/contract/test_peer_worker.py

contract: $(VENV)/.installed $(PEER)/.installed
	PENSTOCK_TEST_PEER_PYTHON=$(CURDIR)/$(PEER)/bin/python \
		$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup \
		tests/contract/test_peer_client.py \
		tests/contract/test_peer_worker.py

contract-next: $(VENV)/.installed $(PEER_NEXT)/.installed ## the worker of the newest compatible release
	PENSTOCK_TEST_PEER_NEXT_PYTHON=$(CURDIR)/$(PEER_NEXT)/bin/python \
		$(BIN)/python -m pytest -q tests/contract/test_peer_worker.py

services: ## say which databases the tests will find
	@$(BIN)/python scripts/services.py

bench: $(VENV)/.installed $(PEER)/.installed ## the comparison table, both systems in one interleaved run
	$(BIN)/python benchmarks/compare.py --peer $(PEER)/bin/python

clean:
	rm -rf $(VENV) $(PEER) $(PEER_NEXT) build dist .pytest_cache .ruff_cache .hypothesis
