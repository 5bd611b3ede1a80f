# make test: a virtual environment with all that the tests need, and the tests.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: test lint docs clean
test: $(VENV)/ready
	$(BIN)/pytest $(PYTEST)

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/ready
	$(BIN)/mkdocs build --strict --quiet

$(VENV)/ready: pyproject.toml constraints.txt tools/libllvm.sh
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[trace,cluster,dev]'
	tools/libllvm.sh
	touch $@

clean:
	rm -rf $(VENV) site
