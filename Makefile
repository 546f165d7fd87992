# Every target makes its own environment on first use; a second call installs nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# pip shows what it fetches where someone looks on
PIP := $(BIN)/python -m pip install $(shell test -t 2 || echo --quiet) --disable-pip-version-check -c constraints.txt
RESULTS := results/local

# numerical libraries share two threads unless the caller says otherwise: contention costs more than it gives
export OMP_NUM_THREADS ?= 2
# processes of `make test`, with one thread each
WORKERS ?= 2

# what `make test` leaves to `make test-all`
REST := docs or process or slow

.PHONY: run test test-rest test-all test-long lint types format docs site bench clean help

help:
	@echo "make run | test | test-all | test-long | lint | types | format | docs | site | bench | clean"

$(VENV)/run.stamp: pyproject.toml constraints.txt
	@echo "An environment in $(VENV): one to five minutes the first time, most of it torch"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "limitbench needs Python 3.11 or newer; found %s. Try: make PYTHON=python3.11" % sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[all]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	$(PIP) -e '.[all,dev]'
	@touch $@

run: $(VENV)/run.stamp
	@echo "1 of 5. Six retrievers on the embedded dataset"
	$(BIN)/limitbench run embedded --results $(RESULTS)
	@echo "2 of 5. Two embedders at several dimensions"
	$(BIN)/limitbench sweep -d limit-small-synthetic -r minilm --dims 32,64,128,256 --results $(RESULTS)
	$(BIN)/limitbench sweep -d limit-small-synthetic -r wordllama --dims 8,16,32,64,128 --results $(RESULTS)
	@echo "3 of 5. The same questions among more and more documents (about a minute)"
	$(BIN)/limitbench drown -d limit-synthetic -r bm25 -r wordllama --sizes 46,1000,10000 --seeds 2 --results $(RESULTS)
	@echo "4 of 5. How large a corpus a few dimensions carry (about half a minute)"
	$(BIN)/limitbench capacity --dim 4,5,6,8,10,12 --budget 3s --results $(RESULTS)
	@echo "5 of 5. All of it beside the paper's figures, and the report"
	$(BIN)/limitbench compare --results $(RESULTS)
	@echo "What was found:"
	@$(BIN)/limitbench report --results $(RESULTS)

test: $(VENV)/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not (long or $(REST))" -n $(WORKERS) --dist worksteal

test-rest: $(VENV)/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "($(REST)) and not long" -n $(WORKERS) --dist worksteal

test-all: test test-rest

test-long: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m long --timeout 7200

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/dev.stamp
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini tests

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/dev.stamp
	$(BIN)/limitbench leaderboard
	LIMITBENCH_WRITE_GOLDEN=1 $(BIN)/python -m pytest tests/test_docs.py tests/test_notebooks.py -k "reference or figures or notebook"

site: $(VENV)/dev.stamp
	$(BIN)/python docs/build_site.py

bench: $(VENV)/dev.stamp
	$(BIN)/python tests/bench.py

clean:
	rm -rf $(VENV) build dist *.egg-info
