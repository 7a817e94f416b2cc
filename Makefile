# Conveniences for the ordinary commands that the README gives.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install --constraint .ci/constraints.txt

.PHONY: fetch run run-all publish test torture bench site e2e lab lint clean
fetch run run-all publish: $(VENV)/installed
	$(BIN)/python -m xraylib $@ $(if $(SOURCE),"$(SOURCE)")
test: $(VENV)/installed
	$(BIN)/python -m pytest
torture: $(VENV)/installed
	$(BIN)/python -m pytest -n 0 tests/torture
bench: $(VENV)/installed
	$(PIP) --quiet --editable ".[bench]"
	$(BIN)/python -m pytest -n 0 tests/benchmarks $(if $(IMAGES),--images "$(IMAGES)")
site: $(VENV)/installed
	$(PIP) --quiet --editable ".[site]"
	$(BIN)/python docs/build.py
e2e: $(VENV)/installed
	$(PIP) --quiet --editable ".[site]" playwright
	npm ci --prefix tests/e2e --silent
	$(BIN)/python -m pytest -n 0 tests/e2e
lab: $(VENV)/installed
	$(BIN)/jupyter lab notebooks
lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
clean:
	rm -rf $(VENV) build

# pip shows its progress where someone watches, and is quiet in a log.
$(VENV)/installed: pyproject.toml .ci/constraints.txt
	@echo "Installing TensorFlow, JupyterLab and 160 smaller packages into $(VENV), once:"
	@echo "some 850 MB to download (on Linux), 3 GB on the disk, a few minutes."
	@$(PYTHON) -m venv $(VENV)
	@if [ -t 1 ]; then quiet=; else quiet=--quiet; fi; $(PIP) $$quiet --editable ".[dev]"
	@echo "Installed."
	@touch $@
