# Every target makes the environment it needs, in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint bench bench-full bench-refresh live soak readers damage synced undo docs nox clean

demo: $(STAMP)  ## load the curated list and ask it three questions
	@rm -rf demo.db
	@echo '$$ authdb init --with-list'
	@$(BIN)/authdb --db demo.db init --with-list
	@echo; echo '$$ authdb query --before 2020'
	@$(BIN)/authdb --db demo.db query --before 2020
	@echo; echo "$$ authdb query \"'2024' <= last_update < '2026'\""
	@$(BIN)/authdb --db demo.db query "'2024' <= last_update < '2026'"
	@echo; echo '$$ authdb query --any oauth2,social'
	@$(BIN)/authdb --db demo.db query --any oauth2,social
	@echo; echo 'The database is in demo.db; ask it more with: $(BIN)/authdb --db demo.db query ...'

test: $(STAMP)  ## run the tests
	$(BIN)/python -m pytest -n auto

lint: $(STAMP)  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)  ## time everything against the peers, five minutes
	$(BIN)/python -m benchmarks --sizes 10k 100k --bars

bench-full: $(STAMP)  ## the same up to a million packages, and write docs/benchmarks.md and limits.md
	$(BIN)/python -m benchmarks --sizes 10k 100k 1m --limit 900 --bars --work .bench --resume --docs docs
	$(BIN)/python -m benchmarks.limits --docs docs

bench-refresh: $(STAMP)  ## a refresh of a thousand packages, against the ideal
	$(BIN)/python -m benchmarks.refreshing

live: $(STAMP)  ## ask the real package index about two packages
	$(BIN)/python -m pytest -m live

soak: $(STAMP)  ## kill a writer a thousand times
	$(BIN)/python tests/soak.py --kills 1000

readers: $(STAMP)  ## eight readers beside a writer for a minute
	$(BIN)/python tests/readers.py --seconds 60 --readers 8

damage: $(STAMP)  ## truncate, flip, fill and forbid, and see that it is found
	$(BIN)/python tests/damage.py

synced: $(STAMP)  ## watch the calls: a change is on disk before it is acknowledged
	$(BIN)/python tests/synced.py

undo: $(STAMP)  ## any sequence of changes and undos, against a model
	$(BIN)/python tests/test_history_stateful.py --runs 300

docs: $(STAMP)  ## write docs/commands.md from the parser
	$(BIN)/python docs/make_commands.py > docs/commands.md

nox: $(STAMP)  ## run the tests on each Python that the machine has
	$(BIN)/nox

clean:
	rm -rf $(VENV) .nox .bench build dist demo.db *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(STAMP): pyproject.toml
	@echo 'Making an environment in $(VENV) ...'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --upgrade pip
	@$(BIN)/python -m pip install -qq --editable '.[dev]'
	@touch $(STAMP)
