# Two commands to begin with: `make quickstart` and `make test`. Both make .venv first where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STUDY ?= search_spaces/digits_ablation.yaml
RUN ?= runs/quickstart
CASES ?= 1000
SEED ?= 0
KIND ?=

.PHONY: docs quickstart test test-quick test-slow test-gpu faults coverage fuzz check bench lock clean
.DEFAULT_GOAL := quickstart

# The stamp is a copy of the lock that the environment was made from: an environment with the right lock is used as it is.
$(VENV)/requirements.lock: requirements.lock pyproject.toml
	@cmp -s requirements.lock $@ || { \
	  $(PYTHON) -c 'import sys; sys.exit("cktf needs Python 3.11 or newer; set PYTHON=...") if sys.version_info < (3, 11) else None' && \
	  $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	cp requirements.lock $@

quickstart: $(VENV)/requirements.lock
	$(BIN)/cktf launch $(STUDY) --run-dir $(RUN) || [ $$? -eq 1 ] # 1: some trials failed; the report says which
	$(BIN)/cktf report $(RUN)

# Two files of tests at a time, the slow ones first, but for tests that start Ray, which takes all cores.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest
TWO = -n 2 --dist loadfile --no-loadscope-reorder

test: test-quick
	$(PYTEST) -m "ray and not slow and not faults"

# Whole reports, whole trainings, real servers: what takes longest, and CI runs too.
test-slow: $(VENV)/requirements.lock
	$(PYTEST) $(TWO) -m "slow and not ray"
	$(PYTEST) -m "slow and ray and not faults"

# Studies of which processes and machines are killed or stopped: some minutes.
faults: $(VENV)/requirements.lock
	$(PYTEST) -m faults tests/faults

test-quick: $(VENV)/requirements.lock
	$(PYTEST) $(TWO) -m "not ray and not slow"

# What only a GPU runs: on any machine that has one.
test-gpu: $(VENV)/requirements.lock
	$(PYTEST) -m gpu

coverage: $(VENV)/requirements.lock
	$(PYTEST) $(TWO) -m "not ray" --cov --cov-report=
	$(PYTEST) -m "ray and not faults" --cov --cov-append --cov-report=term:skip-covered

# Thousands of generated inputs of every kind: make fuzz CASES=7000 SEED=1 KIND="--kind studies"
fuzz: $(VENV)/requirements.lock
	$(BIN)/python -m tests.fuzz $(KIND) --cases $(CASES) --seed $(SEED)

check: $(VENV)/requirements.lock
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check

# The documentation as a site, build/site/index.html; a link that leads nowhere is an error.
docs: $(VENV)/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

bench: $(VENV)/requirements.lock
	for claim in benchmarks/*.py; do $(BIN)/python $$claim || exit 1; done

# Writes requirements.lock anew from the ranges in pyproject.toml.
lock: $(VENV)/requirements.lock
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python -m uv pip compile --quiet --python-version 3.11 --extra train --extra dev --extra timm --extra trackers --extra onnx --no-annotate --no-header --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) build *.egg-info runs
