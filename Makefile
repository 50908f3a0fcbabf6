# The main commands. Each sets itself up; Python 3.11 or later, make and a package index are required.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.14 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test check audit docs bench-gains stress-ci stress-heavy perf-quick perf-suite perf-suite-heavy clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    analyze a small shop database on an embedded PostgreSQL server"
	@echo "make test    run the tests (on real servers; in containers if an engine is available)"
	@echo "make check   lint, types, import directions, dependencies, dead code, spelling"
	@echo "make audit   look for known vulnerabilities in the dependencies (queries the package index)"
	@echo "make docs    regenerate the documentation of rules and the example report"
	@echo "make bench-gains  try what reports advise, and compare promised with measured gains (half an hour)"
	@echo "make stress-ci    a load test on an embedded server (5 minutes)"
	@echo "make stress-heavy    the same, with a long soak (45 minutes)"
	@echo "make perf-quick    load and analysis in one report (a minute or two)"
	@echo "make perf-suite    the same, with causes proven by taking them away"
	@echo "make perf-suite-heavy    the same, with a long soak"
	@echo "make clean   remove what the other targets created"

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is required; set PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1" -c constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[serve,redis,s3,app,http]" --group test --group check --group parts
	@touch $@

demo: $(READY)
	$(BIN)/db-analyze demo

test: $(READY)
	$(BIN)/python -m pytest $(ARGS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/deptry tests --config pyproject.toml --exclude '^$$' --ignore DEP002,DEP004
	$(BIN)/vulture
	$(BIN)/codespell

audit: $(READY)
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip

docs: $(READY)
	$(BIN)/python -m pgwatch_wed.docs docs/rules
	$(BIN)/python -m pgwatch_wed.serve.metrics.metrics_page > docs/metrics.md
	$(BIN)/python -m tools.example

bench-gains: $(READY)
	$(BIN)/python -m tests.bench.gains $(ARGS)

stress-ci stress-heavy: $(READY)
	$(BIN)/db-analyze stress --profile $(@:stress-%=%) $(ARGS)

perf-quick perf-suite: $(READY)
	$(BIN)/db-analyze perf $(@:perf-%=%) $(ARGS)

perf-suite-heavy: $(READY)
	$(BIN)/db-analyze perf suite --heavy $(ARGS)

clean:
	rm -rf $(VENV) build dist db-analysis-results stress-test-results performance-reports .pytest_cache .mypy_cache .ruff_cache
