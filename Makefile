# Every command a developer needs. `make` prints this list.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

help:            ## print this list
	@grep -hE '^[a-z-]+: .*##|^[a-z-]+:  *##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

demo: $(VENV)/ok        ## the main job on sample content, start to finish (set-up included)
	$(BIN)/digest demo $(ARGS)

test: $(VENV)/ok        ## all the tests (set-up included); ARGS="-k name" picks some
	$(BIN)/pytest $(ARGS)

crash: $(VENV)/ok       ## kill it a hundred times in mid-send, fill its disk, turn its clock: nobody lost, nobody twice
	$(BIN)/python -m tests.crash $(ARGS)

bench: $(VENV)/ok       ## how fast, in turns with smtp-source; ARGS="--quick", or names: see bench/README.md
	$(BIN)/python -m bench $(ARGS)

check: $(VENV)/ok       ## ruff, mypy --strict and the test of the layers
	$(BIN)/ruff check digest tests bench
	$(BIN)/ruff format --check digest tests bench
	$(BIN)/mypy
	$(BIN)/pytest tests/test_layers.py

serve: $(VENV)/ok       ## run the service with ./config.toml
	$(BIN)/digest serve $(ARGS)

wheel: $(VENV)/ok       ## build dist/*.whl
	$(BIN)/python -m hatchling build -t wheel

lock:            ## refresh the hash-pinned locks (needs uv)
	uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml -o requirements.lock
	uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --extra dev pyproject.toml -o requirements-dev.lock

clean:           ## remove what the commands above made
	rm -rf $(VENV) dist build demo .mypy_cache .ruff_cache .pytest_cache .hypothesis artifacts

$(VENV)/ok: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Digest needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: help demo test crash bench check serve wheel lock clean
