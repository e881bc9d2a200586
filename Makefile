# Everything runs inside one virtual environment, .venv, built from requirements.lock.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DEMO := .out/demo

# Reinstalled whenever the lock or the package metadata change.
STAMP := $(VENV)/.installed

.PHONY: help install demo test lint clean

help:
	@echo 'make install   the virtual environment .venv, from requirements.lock'
	@echo 'make demo      a short training run on procedural faces, minutes on a CPU'
	@echo 'make test      lint, types and tests'
	@echo 'make clean     removes .venv and what demo and tests wrote'

$(STAMP): requirements.lock setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

install: $(STAMP)

demo: install
	$(BIN)/python -m anon_jax.main --config=configs/quickstart.py --workdir=$(DEMO)
	@echo
	@echo 'Sample grids (input, recoloured, condition, output, target): $(DEMO)/samples/'
	@echo 'Metrics, one JSON object a line:                             $(DEMO)/metrics.jsonl'
	@echo 'Held-out results beside the baseline:                        $(DEMO)/results.md'

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n 2

clean:
	rm -rf $(VENV) .out
