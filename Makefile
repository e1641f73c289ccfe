# Everything runs in .venv, which any target makes when it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench soak clean

demo: .venv/ready
	$(BIN)/python -m flowglass.pipeline.demo

test: .venv/ready-dev lint
	sh .ci/chromium
	$(BIN)/pytest -q

lint: .venv/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/ready
	$(BIN)/python -m benchmarks.sweep

# The full counts of the long tests, of which `make test` runs a tenth.
soak: .venv/ready-dev
	sh .ci/chromium
	FLOWGLASS_SOAK=1 $(BIN)/pytest -q

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/ready-dev: pyproject.toml .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

clean:
	rm -rf .venv build *.egg-info runs
