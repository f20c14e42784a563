# Everything runs in .venv, which the first command makes.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test unit torture lint bench lab learner reading teaching print notebooks site clean

demo: .venv/ready  ## the main job: draw a world, train, evaluate, report (two to six minutes on 2 cores)
	$(BIN)/scm demo

# One thread a process: torch would start one a core in each, and they would fight for the cores.
test: lint  ## lint, types and all tests
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist worksteal

unit: .venv/ready  ## the tests that train nothing long
	$(BIN)/pytest -m "not slow"

torture: .venv/ready  ## files from strangers, a million spoilt inputs for the parsers, 20 kills, long use
	$(BIN)/pytest tests/torture/test_corpus.py
	$(BIN)/python -m tests.torture.fuzz 1000000
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.torture.kills 20
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.torture.long_use 1000

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/ready  ## speed and memory beside baselines, one table, kept in runs/bench
	$(BIN)/python -m tests.benchmarks

lab: learner  ## JupyterLab on the course, to work in
	$(BIN)/jupyter lab learner

learner: .venv/ready  ## the course without answers and solutions, in learner/; your own work there is kept
	$(BIN)/python notebooks/editions.py learner learner

reading: .venv/ready  ## the course with answers and solutions behind folds, in reading/
	$(BIN)/python notebooks/editions.py reading reading

teaching: .venv/ready  ## slides, a quiz bank and assignments from the course, in build/teaching
	$(BIN)/python -m docs.slides
	$(BIN)/python -m docs.quiz
	$(BIN)/python -m docs.assignments

print: site  ## the course as PDF, by Chromium: build/teaching/print
	$(BIN)/python -m docs.paper

notebooks: .venv/ready  ## run all notebooks and keep what they show
	$(BIN)/python notebooks/execute.py

site: .venv/ready  ## the course, its words, figures and reference as web pages: build/site/html
	$(BIN)/python -m docs.build

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=/path/to/python3.11")'
	@echo "Setting up .venv (once; torch makes this a download of some GB on Linux) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@

clean:
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
