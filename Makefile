# Two commands for a newcomer: make quickstart, make test. Both start from a bare machine with Python 3.11 and make.
PYTHON ?= python3
# Where pip looks for torch besides the package registry; PyTorch's CPU wheels: https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
OUT ?= runs/quickstart

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: quickstart test test-long clean

quickstart: $(VENV)/.quickstart
	$(BIN)/shosei quickstart --out $(OUT)

test: $(VENV)/.dev
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -m "not long"

test-long: $(VENV)/.dev
	$(BIN)/pytest -m long

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.quickstart: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .[quickstart]
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .[dev]
	touch $@ $(VENV)/.quickstart

clean:
	rm -rf $(VENV) build dist src/*.egg-info
