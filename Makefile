# Conveniences for the ordinary commands that the README gives.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: run run-all test torture bench e2e lab lint publish clean
run run-all publish: $(VENV)/installed
	$(BIN)/python -m xraylib $@
test: $(VENV)/installed
	$(BIN)/python -m pytest
torture: $(VENV)/installed
	$(BIN)/python -m pytest -n 0 tests/torture
bench: $(VENV)/installed
	$(BIN)/python -m pytest -n 0 tests/benchmarks $(if $(IMAGES),--images $(IMAGES))
e2e: $(VENV)/installed
	$(BIN)/python -m pip install --quiet playwright
	$(BIN)/python -m pytest -n 0 tests/e2e
lab: $(VENV)/installed
	$(BIN)/jupyter lab notebooks
lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
clean:
	rm -rf $(VENV) build

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@
