# Everything runs in .venv, which any target makes when it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin
STORE ?= runs
LIMIT ?= 200
# A process of pytest for every core; the tests of a file stay together.
SIDE_BY_SIDE := -n logical --dist loadfile
TASKS := ioi induction greater_than agreement facts translation colors addition sentences

.PHONY: demo test lint bench soak docs clean

demo: .venv/ready
	for model in tiny-gpt2 tiny-llama; do \
	  $(BIN)/flowglass sweep --model $$model $(TASKS:%=--data %) --limit $(LIMIT) \
	    --targets answer --tensors dense --store $(STORE) || exit; done
	@echo; $(BIN)/flowglass sql $(STORE) "$$(cat docs/active-heads.sql)"
	@echo "next: open a prompt in the viewer and click a token, or look at all of them on the"
	@echo "      pages Components, Compare and Routes (docs/viewer.md); or ask in SQL:"
	@echo "      $(BIN)/flowglass sql $(STORE) \"select * from targets limit 5\""
	@[ -n "$$DEMO_EXIT" ] || $(BIN)/flowglass view $(STORE)

test: .venv/ready-dev lint
	sh .ci/chromium
	$(BIN)/pytest -q $(SIDE_BY_SIDE)

lint: .venv/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/ready
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/tables.py

# The full counts of the long tests, of which `make test` runs a tenth.
soak: .venv/ready-dev
	sh .ci/chromium
	FLOWGLASS_SOAK=1 $(BIN)/pytest -q $(SIDE_BY_SIDE)

# Pages and figures that follow from the code, or from measurements; `make test` says when
# pages are out of date, `make soak` when figures are.
docs: .venv/ready-dev
	$(BIN)/python -m tests.pipeline.models_page
	$(BIN)/python -m tests.store.sql_page
	store=$$(mktemp -d) && DEMO_EXIT=1 $(MAKE) demo STORE=$$store && \
	  $(BIN)/python docs/figures/make.py $$store && rm -r $$store

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/ready-dev: pyproject.toml .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

clean:
	rm -rf .venv build *.egg-info runs
