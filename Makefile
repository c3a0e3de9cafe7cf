# Each target makes the virtual environment it needs; nothing but Python >= 3.10, git and make has to be there.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# one more than processors: a seventh of a worker's time is waiting for servers, browsers and other processes
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min((os.cpu_count() or 1) + 1, 8))')
PYTEST = $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal
INSTALL ?= $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo review test test-docs test-integrations coverage test-lowest lint wheel docs pictures clean

demo: $(VENV)/.demo ## fit, index, search and review the corpus that comes with the package
	$(BIN)/fg-search demo

review: $(VENV)/.demo ## correct wrong labels of the same corpus on the page, and see what that brings
	$(BIN)/fg-search demo --review

test: $(VENV)/.dev ## all tests but those of documentation, demo and integrations, on all cores
	$(PYTEST) --ignore tests/integrations --ignore tests/docs --ignore tests/demo

test-docs: $(VENV)/.dev ## demo, examples and what the documentation shows are run, its links and commands looked up
	$(PYTEST) tests/docs tests/demo -m "not frameworks"

# in one process: to load four frameworks takes half as long as all of their tests
test-integrations: $(VENV)/.dev ## tests of integrations, with the standard suites of their ecosystems, and the pages about them
	$(BIN)/python -m pytest tests/integrations tests/docs/test_code_blocks.py -m frameworks

coverage: $(VENV)/.dev ## all tests, and the files with lines and branches that none of them runs, the worst first
	$(PYTEST) --cov --cov-report=term-missing:skip-covered

test-lowest: $(VENV)/.lowest ## all tests with the oldest versions that pyproject.toml allows; VENV has to be one of its own
	$(PYTEST) -W default

lint: $(VENV)/.dev ## style, types, that imports go one way, and that what is imported is declared
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python scripts/generate_sync.py --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m deptry fg_search

wheel: $(VENV)/.dev ## build sdist and wheel, check them, and run README from the wheel in an empty environment
	$(BIN)/python scripts/check_wheel.py

docs: $(VENV)/.docs ## the documentation site, in build/docs; opens without a server or network
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

pictures: $(VENV)/.dev ## draw and photograph the pictures of README and docs; needs Chromium
	$(BIN)/python docs/architecture.py
	$(BIN)/python docs/draw_numbers.py
	$(BIN)/python docs/pictures.py

clean:
	rm -rf $(VENV) dist build

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "fg_search needs Python 3.10 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing fg_search and its demo model into $(VENV) (once)"
	$(INSTALL) --editable '.[demo,web]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing fg_search and its development tools into $(VENV) (once)"
	$(INSTALL) --editable '.[dev]'
	@touch $@

$(VENV)/.lowest: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the oldest allowed versions into $(VENV) (once)"
	$(INSTALL) uv
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --resolution lowest-direct --editable '.[dev]'
	@touch $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing fg_search and what builds its site into $(VENV) (once)"
	$(INSTALL) --editable '.[docs]'
	@touch $@
