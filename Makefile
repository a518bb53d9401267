# make demo and make test are the whole set-up on a fresh Debian or Ubuntu machine with Python 3.11 or newer.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(VENV)/.runs
STAMP  := $(VENV)/.installed
# Tests on brokers mostly wait, so several at once are worth it on two cores as well.
JOBS   ?= 3
SPREAD  = --numprocesses $(JOBS) --dist loadgroup

# A run starts ten processes, and the tests thousands: each would compile what it imports, where an image of Python forbids keeping it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test nightly check unit integration format lint types lies fuzz bench bench-light bench-judging bench-precision bench-report bench-turnaround screenshot schema mutants docs lock clean help

help: ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

# ensurepip is a package of its own on Debian and Ubuntu.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)"; exit 1; }
	@echo "making an environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { \
	  rm -rf $(VENV); \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install python3-venv >/dev/null && $(PYTHON) -m venv $(VENV); \
	  else echo "Python's venv module is missing; install it: apt-get install python3-venv"; exit 1; fi; }

EDITABLE = @$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .

$(RUN): pyproject.toml requirements.lock | $(BIN)/python
	@$(BIN)/python tools/install.py requirements.lock
	$(EDITABLE)
	@touch $@

# What developing needs holds all that a run needs: one installation makes both.
$(STAMP): pyproject.toml requirements.lock requirements-dev.lock | $(BIN)/python
	@$(BIN)/python tools/install.py requirements-dev.lock
	$(EDITABLE)
	@touch $(RUN) $@

demo: $(RUN) ## set everything up and run the broker restart scenario
	@$(BIN)/chaos setup --if-needed
	$(BIN)/chaos run scenarios/broker_restart.yaml

test: $(STAMP) ## set everything up and run the tests of every change: all but the slow ones
	@$(BIN)/chaos setup --if-needed
	$(BIN)/python -m pytest $(SPREAD)

nightly: $(STAMP) ## the slow tests: every backend, client and version, cases and drawn scenarios held against the oracle
	EXAMPLES_OF_100=1000 $(BIN)/python -m pytest $(SPREAD) -m "slow or hypothesis"

check: $(STAMP) lint types unit ## format, lint, types and unit tests, in seconds

unit: $(STAMP) ## tests that need no broker, no browser and no second
	$(BIN)/python -m pytest $(SPREAD) -m "not browser and not seconds and not slow" tests/unit

integration: $(STAMP) ## tests on real brokers, but for the slow ones
	$(BIN)/python -m pytest $(SPREAD) tests/integration

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

lies: $(STAMP) ## tell every lie beside every fault on a native broker, and refresh the table in docs/verdicts.md
	$(BIN)/python -m tools.lies_table

fuzz: $(STAMP) ## throw malformed input, damaged files, hostile brokers and signals at chaos, and refresh the table in docs/reliability.md; FUZZ="--seed 7" repeats a draw
	$(BIN)/python -m tools.fuzz $(FUZZ)

mutants: $(STAMP) ## plant mistakes in the judge's rules: at least nine of ten must make a test fail; MUTANTS="--seed 7" repeats a draw
	$(BIN)/python -m tools.mutants $(MUTANTS)

bench: $(STAMP) ## measure load and recording beside a C and a Java client, and refresh docs/performance.md
	$(BIN)/python -m benchmarks --suite trixie --footprint

bench-light: $(STAMP) ## the same in a minute or two: prints ratios, never fails on noise
	$(BIN)/python -m benchmarks --light --rounds 1 --messages 30000

bench-report: $(STAMP) ## measure report.html of a million messages
	$(BIN)/python -m tests.bench_report

bench-judging: $(STAMP) ## measure judging, Parquet and the way to the reports; BENCH="100000000 --only judging" for a hundred million
	$(BIN)/python -m benchmarks.judging $(BENCH)

bench-turnaround: $(STAMP) ## measure where the time of a whole run goes, on a native and a container broker; BEFORE=817c0e2 compares whole commands with an earlier version
	$(BIN)/python -m benchmarks.turnaround
	@test -z "$(BEFORE)" || $(BIN)/python -m benchmarks.commands --before $(BEFORE)

bench-precision: $(STAMP) ## measure how exactly steps strike at full load
	$(BIN)/python -m benchmarks.precision --suite trixie

screenshot: $(STAMP) ## run a scenario that fails and take docs/report.png of its report
	$(BIN)/python -m tests.screenshot

schema: $(STAMP) ## write the generated schemas, the scenario reference and the pictures anew
	$(BIN)/chaos schema > harness/scenario/schema.json
	$(BIN)/chaos schema --markdown > docs/scenario-reference.md
	$(BIN)/python -m tools.message_lives
	$(BIN)/python -c 'import json; from harness.verdict.as_json import SCHEMA_FILE, schema; SCHEMA_FILE.write_text(json.dumps(schema(), indent=2) + "\n")'

docs: $(STAMP) ## build the documentation into site/
	$(BIN)/mkdocs build --strict

lock: ## resolve the pinned requirements anew, to develop and to run
	uv pip compile --quiet --universal --generate-hashes --extra dev --python-version 3.11 pyproject.toml -o requirements-dev.lock
	uv pip compile --quiet --universal --generate-hashes --extra build --python-version 3.11 pyproject.toml -c requirements-dev.lock -o requirements.lock

clean: ## remove what was built
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis site
