# make test: a virtual environment with all that the tests need, and the tests.
# make bare: the package with nothing but its core dependencies imports quickly and works.
# make demo: an environment with the core dependencies alone, and `radiofix demo`: demo.html.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# A process for each core, each with one thread: on two cores the tests take a third of the time.
PYTEST ?= --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: test lint docs bare demo clean
test: $(VENV)/ready
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/pytest $(PYTEST)

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tools
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

demo: .venv-demo/ready
	OMP_WAIT_POLICY=PASSIVE .venv-demo/bin/radiofix demo --out demo.html

# Without its own index torch would bring gigabytes for GPUs; where that is out of reach, so be it.
.venv-demo/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet --retries 1 --no-deps --constraint constraints.txt \
		--index-url https://download.pytorch.org/whl/cpu torch || true
	.venv-demo/bin/pip install --quiet --constraint constraints.txt --editable .
	touch $@

clean:
	rm -rf $(VENV) .venv-bare .venv-demo site
