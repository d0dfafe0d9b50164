# Everything from nothing but Python 3.11+ and make: the environment lives in .venv, uv is brought there when missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)
STAMP := $(VENV)/.installed
NBVAL := --nbval-lax --nbval-current-env --nbval-cell-timeout=900

# Tests start many processes: without kept bytecode each of them would compile all of torch again, for eight seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help lab demo test browser notebooks lint docs images screenshots bench clean

help: ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "peft_lab needs Python 3.11 or newer; say make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml | $(BIN)/python
	@command -v uv >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet uv
	$(UV) pip install --quiet --python $(BIN)/python --editable '.[dev]'
	@touch $@

lab: $(STAMP) ## open JupyterLab on the quickstart
	$(BIN)/jupyter lab notebooks/01_quickstart.ipynb

demo: $(STAMP) ## run the quickstart without a browser, leave build/01_quickstart.html
	@rm -rf build/demo && mkdir -p build/demo && cp notebooks/01_quickstart.ipynb build/demo
	cd build/demo && ../../$(BIN)/jupyter nbconvert --to notebook --execute --inplace 01_quickstart.ipynb
	cd build/demo && ../../$(BIN)/jupyter nbconvert --to html --output-dir .. 01_quickstart.ipynb
	@echo "open build/01_quickstart.html"

test: $(STAMP) lint ## lint, types, the notebooks cell by cell, all tests
	$(BIN)/python -m pytest $(NBVAL) -n 2 --dist loadfile --no-loadscope-reorder \
		notebooks/01_quickstart.ipynb notebooks/02_rely_on_it.ipynb tests

browser: $(STAMP) ## of all tests, those in a real JupyterLab and Chromium alone
	PEFT_LAB_BROWSER=needed $(BIN)/python -m pytest tests/browser

notebooks: $(STAMP) ## every notebook cell by cell, the longer ones too
	$(BIN)/python -m pytest $(NBVAL) notebooks

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP) ## write the generated parts of docs/ again
	$(BIN)/python docs/generate.py

images: demo ## draw the pictures of README and docs again, and keep the outputs in the notebook
	$(BIN)/python docs/images.py

screenshots: $(STAMP) ## photograph panels, explorers and the Stop button for docs again
	$(BIN)/python docs/browser_images.py

bench: $(STAMP) ## measure; long, see docs/benchmarks.md
	$(BIN)/python -m benchmarks

clean: ## remove the environment and everything built
	rm -rf $(VENV) build dist
