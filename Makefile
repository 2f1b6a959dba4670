# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
BIN := .venv/bin
EXTRAS := neural,mongo,plots,tune,spark,api,dev
SOURCES := pyproject.toml constraints.txt

.PHONY: demo venv test check bench faults screenshots clean

demo: .venv/.program  ## import sample_data, train, evaluate, recommend and explain, in a folder of its own
	$(BIN)/recsys-tui demo

venv: .venv/.everything  ## every extra and all test needs

test: venv check  ## lint, types, and the whole ordinary suite
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: venv  ## lint and types alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: venv  ## measure against the rivals, installed into .venv-bench
	$(BIN)/python -m tests.benchmarks

faults: venv  ## the full campaigns of killed processes, full disks and damaged files
	$(BIN)/python -m pytest -m faults --faults-rounds 200

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/.program: .venv/bin/python $(SOURCES)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@$(BIN)/python -m compileall -q engine store recsys_tui  # pip leaves this out for editable installs
	@touch $@

.venv/.everything: .venv/bin/python $(SOURCES)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@$(BIN)/python -m compileall -q engine store recsys_tui
	@touch $@ .venv/.program

screenshots: venv  ## draw the pictures of the README, and the recording, from real output
	$(BIN)/python docs/pictures.py
	PYTHONPATH=$(CURDIR) $(BIN)/python docs/recording.py

clean:  ## remove what the targets above made
	rm -rf .venv .venv-bench build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
