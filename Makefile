# `make demo` and `make test` need Python >= 3.11, git and make; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help demo test coverage lint format test-architectures test-engine test-per-layer test-slow test-real test-oldest real golden golden-check train-demo dist docs clean

help:
	@echo "make demo                 install into .venv and run the main job on the embedded model"
	@echo "make test                 install into .venv, lint, type-check and run the tests"
	@echo "make coverage             the same tests with coverage, which takes half as long again"
	@echo "make test-architectures   skip blocks in every architecture of transformers (long)"
	@echo "make test-engine          compare shared work with the reference in every architecture (long)"
	@echo "make test-per-layer       what belongs to a block stays with it, in every architecture (long)"
	@echo "make test-slow            the long sweeps of the other tests"
	@echo "make test-real            cut a real model of 30 blocks (downloads 93 MB, or DEPTHPRUNE_SMOLLM2=FOLDER)"
	@echo "make real                 which rule chooses the blocks of a real model best, into build/real (one to two hours on 2 cores; SIZE= in full: a night)"
	@echo "make test-oldest          the tests with the oldest packages that pyproject.toml allows (PYTHON=python3.11)"
	@echo "make golden               record what commands print and write (minutes)"
	@echo "make golden-check         compare with what was recorded, byte by byte (minutes)"
	@echo "make train-demo           train the embedded demo model from nothing (an hour on 2 cores)"
	@echo "make dist                 build wheel and source package into dist/, and try the wheel in a clean environment"
	@echo "make docs                 build the documentation as a site into build/site, and check its links"
	@echo "make format               put the code into ruff's form"

demo: $(INSTALLED)
	$(BIN)/depthprune demo

# Each worker computes on one thread: more would wait for each other.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4

coverage: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --cov --cov-report=term --cov-fail-under=90

lint: $(INSTALLED)
	$(BIN)/ruff check src tests training benchmarks examples docs
	$(BIN)/ruff format --check src tests training benchmarks examples docs
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix src tests training benchmarks examples docs
	$(BIN)/ruff format src tests training benchmarks examples docs

test-architectures: $(INSTALLED)
	$(BIN)/python -m pytest -m architectures tests/architectures -s

test-engine: $(INSTALLED)
	$(BIN)/python -m pytest -m architectures tests/architectures/test_sharing.py -s

test-per-layer: $(INSTALLED)
	$(BIN)/python -m pytest -m per_layer tests/architectures -s

test-slow: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[distributed]"
	$(BIN)/python -m pytest -m slow

test-real: $(INSTALLED)
	$(BIN)/python -m pytest -m real -s -rs

SIZE ?= --small

real: $(INSTALLED)
	$(BIN)/python benchmarks/real/build.py build/real
	$(BIN)/python benchmarks/real/proxies.py build/real
	$(BIN)/python benchmarks/real/rules.py build/real $(SIZE) --figure build/real/rules.png

# An environment of its own: what pip would choose today is what `make test` has.
test-oldest:
	rm -rf build/oldest && $(PYTHON) -m venv build/oldest
	$(PYTHON) .ci/oldest > build/oldest/constraints.txt
	build/oldest/bin/python -m pip install --quiet --disable-pip-version-check -c build/oldest/constraints.txt -e ".[dev]"
	OMP_NUM_THREADS=1 build/oldest/bin/python -m pytest -n auto --maxprocesses 4

golden: $(INSTALLED)
	$(BIN)/python -m tests.golden record

golden-check: $(INSTALLED)
	$(BIN)/python -m tests.golden check

train-demo: $(INSTALLED)
	$(BIN)/python training/train_demo.py --output src/depthprune/tasks/demo/model

dist:
	rm -rf dist build/dist-tools
	$(PYTHON) -m venv build/dist-tools
	build/dist-tools/bin/python -m pip install --quiet --disable-pip-version-check build twine
	build/dist-tools/bin/python -m build --outdir dist .
	build/dist-tools/bin/twine check --strict dist/*
	PYTHON=$(PYTHON) bash .ci/installed dist/*.whl

# Pages link to files of the repository beside docs/: in the site those stand with the pages, or lead nowhere.
docs:
	rm -rf build/docs build/site
	test -d build/docs-tools || $(PYTHON) -m venv build/docs-tools
	build/docs-tools/bin/python -m pip install --quiet --disable-pip-version-check "mkdocs-material>=9.5,<10"
	$(PYTHON) docs/make_site.py build/docs
	NO_MKDOCS_2_WARNING=1 build/docs-tools/bin/mkdocs build --strict --quiet

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
