# make test: a virtual environment with all that the tests need, and the tests.
# make bare: the package with nothing but its core dependencies imports quickly and works.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: test lint docs bare clean
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

bare:
	rm -rf .venv-bare
	$(PYTHON) -m venv .venv-bare
	.venv-bare/bin/pip install --quiet --constraint constraints.txt .
	.venv-bare/bin/python tools/bare.py

clean:
	rm -rf $(VENV) .venv-bare site
