# The main commands. Each installs what it needs; Python 3.11 or later, make and a package index are required.
ifndef PYTHON
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3.14 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
endif
# uv, where it is there and knows dependency groups, installs in a fraction of the time; UV= is without it.
ifeq ($(origin UV),undefined)
UV := $(shell uv pip install --help 2>/dev/null | grep -q -- --group && command -v uv)
endif
VENV := .venv
BIN := $(VENV)/bin
# What is in it: the program; what tests need, too; what checks need, too.
PROGRAM := $(VENV)/.program
TESTED := $(VENV)/.tested
READY := $(VENV)/.ready

ifeq ($(UV),)
CREATE = $(PYTHON) -m venv $(VENV)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
else
CREATE = rm -rf $(VENV) && $(UV) venv --quiet --python $(or $(PYTHON),3.13) $(VENV)
INSTALL = $(UV) pip install --quiet --python $(BIN)/python -c constraints.txt
endif

CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
# Processes also wait for servers.
WORKERS := $(shell [ $(CORES) -lt 4 ] && expr $(CORES) + 1 || { [ $(CORES) -lt 8 ] && echo $(CORES) || echo 8; })
PARALLEL = -n $(WORKERS) --dist worksteal
# Outside of CI, which says what it wants, tests run on the embedded server alone, and slow ones only if that is asked for.
# PGWATCH_WED_PG_VERSIONS selects other servers: docs/testing.md.
ifeq ($(CI)$(PGWATCH_WED_REQUIRE_PG)$(PGWATCH_WED_TEST_DSN),)
export PGWATCH_WED_PG_VERSIONS ?= embedded
QUICK = -m "not slow"
endif
SERVERS = $(if $(PGWATCH_WED_TEST_DSN),the external server,$(or $(PGWATCH_WED_PG_VERSIONS),every server here))
# On the embedded server and one core.
QUICK_MINUTES := 18
ALL_MINUTES := 55
about = about $$(( ($(1) + $(CORES) - 1) / $(CORES) )) minutes on the embedded server, more on others

.PHONY: help demo test test-all check audit docs bench-gains bench-fleet stress-ci stress-heavy perf-quick perf-suite perf-suite-heavy clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    analyze a small shop database on an embedded PostgreSQL server"
	@echo "make test    run the quick tests on an embedded server, on all cores; says how long it takes"
	@echo "make test-all    run all tests (half an hour)"
	@echo "make check   lint, types, import directions, dependencies, dead code, spelling"
	@echo "make audit   look for known vulnerabilities in the dependencies (queries the package index)"
	@echo "make docs    regenerate the documentation of rules and the example report"
	@echo "make bench-gains  try what reports advise, and compare promised with measured gains (half an hour)"
	@echo "make bench-fleet  what a fleet costs, and whether it keeps what is promised (half an hour; ARGS=--small)"
	@echo "make stress-ci    a load test on an embedded server (5 minutes)"
	@echo "make stress-heavy    the same, with a long soak (45 minutes)"
	@echo "make perf-quick    load and analysis in one report (a minute or two)"
	@echo "make perf-suite    the same, with causes proven by taking them away"
	@echo "make perf-suite-heavy    the same, with a long soak"
	@echo "make clean   remove what the other targets created"

$(PROGRAM): pyproject.toml constraints.txt
	@test -n "$(PYTHON)$(UV)" || { echo "Python 3.11 or later is required; set PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || { echo "installing into $(VENV)"; $(CREATE); }
	@$(INSTALL) --editable .
	@touch $@

$(TESTED): $(PROGRAM)
	@echo "installing what tests need"
	@$(INSTALL) --upgrade "pip>=25.1"
	@$(INSTALL) --editable ".[serve,redis,s3,app,http,fleet]" --group test --group parts
	@touch $@

$(READY): $(TESTED)
	@echo "installing what checks need"
	@$(INSTALL) --group check
	@touch $@

demo: $(PROGRAM)
	$(BIN)/db-analyze demo $(ARGS)

# With ARGS, they are all that pytest gets.
test: $(TESTED)
ifneq ($(ARGS),)
	$(BIN)/python -m pytest $(ARGS)
else ifdef QUICK
	@echo "Tests that are not slow, in $(WORKERS) processes, on: $(SERVERS). It takes $(call about,$(QUICK_MINUTES)); make test-all runs the others, too."
	$(BIN)/python -m pytest $(PARALLEL) $(QUICK)
else
	$(BIN)/python -m pytest $(PARALLEL)
endif

test-all: $(TESTED)
	@echo "All tests, in $(WORKERS) processes, on: $(SERVERS). It takes $(call about,$(ALL_MINUTES))."
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

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

docs: $(TESTED)
	$(BIN)/python -m pgwatch_wed.docs docs/rules
	$(BIN)/python -m pgwatch_wed.serve.metrics.metrics_page > docs/metrics.md
	$(BIN)/python -m tools.example

bench-gains: $(TESTED)
	$(BIN)/python -m tests.bench.gains $(ARGS)

bench-fleet: $(TESTED)
	$(BIN)/python -m tests.bench.fleet $(ARGS)

stress-ci stress-heavy: $(PROGRAM)
	$(BIN)/db-analyze stress --profile $(@:stress-%=%) $(ARGS)

perf-quick perf-suite: $(PROGRAM)
	$(BIN)/db-analyze perf $(@:perf-%=%) $(ARGS)

perf-suite-heavy: $(PROGRAM)
	$(BIN)/db-analyze perf suite --heavy $(ARGS)

clean:
	rm -rf $(VENV) build dist db-analysis-results stress-test-results performance-reports .pytest_cache .mypy_cache .ruff_cache
