# Needs git, make and Python 3.11 or newer; everything else is set up on first use.

PYTHON ?= python3
RUN := .venv/bin/python
BENCH = $(RUN) -m pytest -q -p tests.conftest -o python_files='bench_*.py' -o python_functions='bench_*' bench

.DEFAULT_GOAL := help
.PHONY: help demo up down status migrate certificates psql env test bench bench-check lint reset ready environment python

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

demo: up ## make up, then load and show some sessions of market data
	@$(RUN) -m embedded.demo

up: ready ## start the servers and Dagster; again after a change in .env
	@$(RUN) -m embedded up

down: ## stop everything cleanly
	@if [ -d .local ]; then $(MAKE) -s environment && $(RUN) -m embedded down; \
	else echo "nothing is running: there is no .local"; fi

env: environment ## write .env with random passwords, as make up does (for containers)
	@$(RUN) -m embedded environment

status: ready ## show what runs where
	@$(RUN) -m embedded status

certificates: ready ## give all servers new certificates, also while they run
	@$(RUN) -m embedded certificates

migrate: environment ## apply pending schema migrations (make up does it too)
	@$(RUN) -m embedded migrate

psql: ready ## psql as superuser on TimescaleDB
	@$(RUN) -m embedded psql

# Whole, the suite is shared among processors; the killing tests want the machine for themselves.
KILLS = tests/faults/test_kills.py
test: python ## run the tests on servers of their own; options in PYTEST_ARGS
	@$(PYTHON) -m embedded.prepare root tests-root
ifeq ($(strip $(PYTEST_ARGS)),)
	@$(RUN) -m pytest -n auto --dist loadfile --no-loadscope-reorder --ignore $(KILLS)
	@$(RUN) -m pytest $(KILLS)
else
	@$(RUN) -m pytest $(PYTEST_ARGS)
endif

bench: ready ## measure, as ratios; options in PYTEST_ARGS
	@$(BENCH) $(PYTEST_ARGS)

bench-check: ready ## measure, and fail where a ratio is beyond bench/bounds.toml
	@$(BENCH) --check $(PYTEST_ARGS)

lint: environment ## check style, formatting and types
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check
	@$(RUN) -m mypy

reset: ## ask, then stop everything and delete all data (.local)
	@if [ -d .local ]; then $(MAKE) -s environment && $(RUN) -m embedded reset; \
	else echo "there is nothing to delete: there is no .local"; fi

# The virtual environment and the servers' Debian root; return at once when they are there.
ready: python
	@$(PYTHON) -m embedded.prepare root

environment: python
	@$(PYTHON) -m embedded.prepare

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "error: Python 3.11 or newer is needed; $(PYTHON) is: $$($(PYTHON) --version 2>&1)." \
		"Install it (Debian 12 or newer: apt-get install python3) or name it: make PYTHON=python3.12" >&2; \
		exit 1; }
