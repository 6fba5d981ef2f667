# On a bare machine with Python 3.10 to 3.12: `make demo` registers a brain, `make test` checks everything.
# PYTHON names the interpreter for a new environment; where it is none of 3.10 to 3.12, others on the path are tried.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO ?= demo

.PHONY: help setup demo test suite test-long baselines test-baselines lint style types format bench docs screenshots clean

help:
	@echo "make demo       set up and register a brain with a known deformation; results in $(DEMO)/"
	@echo "make test       set up, then lint, types and tests"
	@echo "make test-long  the tests that take minutes"
	@echo "make baselines  an environment with all rivals: .venv-baselines/bin/robustdir (300 MB more)"
	@echo "make test-baselines  the tests of rivals, in that environment"
	@echo "make lint       ruff and mypy alone"
	@echo "make format     let ruff format the tree"
	@echo "make bench      timings and accuracies of the README"
	@echo "make docs       the documentation as a site: build/site/index.html"
	@echo "make screenshots  the pictures in Resources/Screenshots, of the panel and the views"
	@echo "make clean      remove the environment and everything generated"

setup: $(READY)

$(READY): pyproject.toml requirements-dev.lock
	@test -x $(BIN)/python || { \
	for python in "$(PYTHON)" python3.12 python3.11 python3.10; do \
	  if "$$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then \
	    "$$python" -m venv $(VENV) && exit 0; \
	    rm -rf $(VENV); echo "make: $$python cannot make a virtual environment (on Debian: install python3-venv)." >&2; \
	    exit 1; \
	  fi; \
	done; \
	echo "make: no Python 3.10, 3.11 or 3.12 found; install one or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements-dev.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)
	$(BIN)/robustdir demo --output $(DEMO) --overwrite

# What is wrong at a glance is said at once; types are checked beside the tests, for they keep one core busy.
test: style
	@$(MAKE) --no-print-directory -j 2 types suite

# A process a core, each with one thread and whole files, whose fixtures are then made once.
suite: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile

test-long: $(READY)
	$(BIN)/python -m pytest -m long

baselines: .venv-baselines/.ready

test-baselines: .venv-baselines/.ready
	.venv-baselines/bin/python -m pytest Testing/Python/test_rivals.py Testing/Python/test_elastix.py

.venv-baselines/.ready: pyproject.toml requirements-baselines.lock $(READY)
	test -x .venv-baselines/bin/python || $(BIN)/python -m venv .venv-baselines
	.venv-baselines/bin/python -m pip install --disable-pip-version-check --quiet -r requirements-baselines.lock
	.venv-baselines/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

lint: style types

style: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY)
	$(BIN)/python Testing/Benchmarks/run.py

docs: .venv-docs/.ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
	@echo "build/site/index.html; to search in it: python3 -m http.server -d build/site"

.venv-docs/.ready: requirements-docs.lock $(READY)
	test -x .venv-docs/bin/python || $(BIN)/python -m venv .venv-docs
	.venv-docs/bin/python -m pip install --disable-pip-version-check --quiet -r requirements-docs.lock
	@touch $@

screenshots: $(READY)
	PYTHONPATH=Testing $(BIN)/python -m SlicerHeadless.screenshots
	test -z "$$ROBUSTDIR_DATA" || PYTHONPATH=Testing $(BIN)/python -m SlicerHeadless.train_screenshots

clean:
	rm -rf $(VENV) .venv-baselines .venv-docs $(DEMO) build dist RobustDIR/*.egg-info .pytest_cache .mypy_cache .ruff_cache
	find RobustDIR RobustDIRTrain Testing -name __pycache__ -type d -prune -exec rm -rf {} +
