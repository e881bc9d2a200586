# Everything runs inside one virtual environment, .venv, built from requirements.lock.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DEMO := .out/demo

PIP := $(BIN)/pip --quiet --disable-pip-version-check install --no-deps
# Reinstalled whenever a lock or the package metadata change.
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-test

.PHONY: help install demo serve test lint docs notebooks bench clean

help:
	@echo 'make install   the virtual environment .venv, from requirements.lock'
	@echo 'make demo      anonymizes a photograph, then trains for minutes on procedural faces'
	@echo 'make serve     a page on 127.0.0.1 that anonymizes what is dropped on it'
	@echo 'make test      lint, types and tests'
	@echo 'make docs      the documentation site: .out/site/index.html'
	@echo 'make notebooks runs the notebooks; copies with their outputs: .out/notebooks/'
	@echo 'make bench     speed against PyTorch: benchmarks/results.md and bench.json, some 20 minutes'
	@echo 'make clean     removes .venv and what demo wrote'

$(STAMP): requirements.lock setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.lock
	$(PIP) --no-build-isolation -e .
	touch $(STAMP)

$(TEST_STAMP): $(STAMP) requirements-test.lock
	$(PIP) -r requirements-test.lock
	touch $(TEST_STAMP)

install: $(STAMP)

# scikit-image for a photograph in the public domain that it carries.
demo: install
	$(PIP) $$(grep '^scikit-image==' requirements-test.lock)
	$(BIN)/python docs/demo_photograph.py $(DEMO)
	$(BIN)/python -m anon_jax.main --config=configs/quickstart.py --workdir=$(DEMO)/quickstart
	@echo
	@echo 'A photograph by the weights in the package, before and after: $(DEMO)/before_after.png'
	@echo 'Sample grids (input, recoloured, condition, output, target):  $(DEMO)/quickstart/samples/'
	@echo 'Metrics, one JSON object a line:                              $(DEMO)/quickstart/metrics.jsonl'
	@echo 'Held-out results beside the baseline:                         $(DEMO)/quickstart/results.md'

# The extra `demo`, in the versions that are tested.
serve: install
	$(PIP) $$(grep -E '^(anyio|click|h11|starlette|uvicorn)==' requirements-test.lock)
	$(BIN)/anon-jax serve

lint: $(TEST_STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Warnings are errors, as in the tests.
docs: $(TEST_STAMP)
	$(BIN)/python -m sphinx -W --keep-going -q -c docs -d .out/doctrees . .out/site
	@echo 'The site: .out/site/index.html'

# In copies, since outputs show pictures and are not kept in the repository.
notebooks: $(TEST_STAMP)
	mkdir -p .out && cp -r notebooks .out/
	$(BIN)/jupyter-execute --inplace .out/notebooks/*.ipynb

# PyTorch is in the lock of the checks.
bench: $(TEST_STAMP)
	$(BIN)/python benchmarks/bench.py

clean:
	rm -rf $(VENV) $(DEMO)
