# Two commands: `make demo` and `make test`; and `make test-clusters`, `make docs`. All make .venv first; `make versions` and
# `make trackers` others. PYTHON must be 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-system test-commands test-distributed test-unit test-clusters versions trackers docs lint clean
.PRECIOUS: .versions/%/ready

demo: .venv/ready
	$(BIN)/xdist demo

# Starting processes leaves a core idle half of the time: two parts run side by side, each printed when it ends. The types first,
# since what they find is soon mended, then the longest, so that both cores have work to the end. Without bytecode every process
# would compile xdist again: where Python writes none, it is written here.
test: .venv/ready
	@echo "parts of the tests, two side by side: each is printed when it ends"
	@$(BIN)/python -m compileall -q xdist
	@$(MAKE) --no-print-directory -k -j2 $(if $(filter output-sync,$(.FEATURES)),-O) lint test-distributed test-system test-unit test-commands

# One thread: products of small matrices gain nothing by a second one, which waits in a loop for the next.
test-system test-commands test-distributed test-unit: export OMP_NUM_THREADS := 1

# Most of these share one process that has loaded the libraries (tests/loaded.py).
COMMANDS := $(addprefix tests/system/test_,$(addsuffix .py,align_command bad_input benchmark_command evaluate_command loaded \
	merge_command pages prepare_killed published study_command tune_command))

test-system: .venv/ready
	$(BIN)/python -m pytest -m "not cluster" tests/system $(addprefix --ignore=,$(COMMANDS))

test-commands: .venv/ready
	$(BIN)/python -m pytest $(COMMANDS)

test-distributed: .venv/ready
	$(BIN)/python -m pytest tests/distributed

test-unit: lint
	$(BIN)/python -m pytest tests/unit

# On a real SLURM of two nodes, over sshd and network namespaces, under a simulated kubelet: where those can be had.
test-clusters: .venv/ready
	$(BIN)/python -m pytest -m cluster tests/system

# The middle of the suite on the lowest and on the highest versions that pyproject.toml allows, each in its own environment.
# torch stays the pinned one, since its other builds at PyPI are gigabytes; where an index of small ones can be reached:
# make versions TORCH=lowest PIP_EXTRA_INDEX_URL=…
TORCH ?= pinned
MIDDLE := tests/unit tests/distributed/test_same_result.py tests/distributed/test_checkpoints.py tests/distributed/test_sharded_export.py

versions: versions-lowest versions-highest

versions-%: .versions/%/ready
	OMP_NUM_THREADS=1 TORCH_EXTENSIONS_DIR=$(CURDIR)/.versions/$*/ops .versions/$*/bin/python -m pytest $(MIDDLE)

.versions/%/ready: pyproject.toml constraints.txt tests/versions.py
	$(PYTHON) -m venv .versions/$*
	$(PYTHON) tests/versions.py $* --torch $(TORCH) >.versions/$*/constraints.txt
	.versions/$*/bin/python -m pip install --quiet --upgrade pip
	.versions/$*/bin/python -m pip install --quiet --constraint .versions/$*/constraints.txt torch
	.versions/$*/bin/python -m pip install --quiet --constraint .versions/$*/constraints.txt --editable '.[demo,dev]'
	touch .versions/$*/ready

# The sinks of Weights & Biases, MLflow and Trackio with the real packages, each in its own environment: they need other
# versions of what the suite pins.
trackers: trackers-wandb trackers-mlflow-skinny trackers-trackio

trackers-%: .versions/%/tracker
	OMP_NUM_THREADS=1 .versions/$*/bin/python -m pytest tests/trackers

.versions/%/tracker: pyproject.toml constraints.txt
	$(PYTHON) -m venv .versions/$*
	.versions/$*/bin/python -m pip install --quiet --upgrade pip
	.versions/$*/bin/python -m pip install --quiet --constraint constraints.txt torch
	.versions/$*/bin/python -m pip install --quiet --editable . pytest pytest-timeout hypothesis $*
	touch .versions/$*/tracker

# The documentation as a site in build/site; a broken link ends it.
docs: .venv/ready
	$(BIN)/mkdocs build

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# torch first and alone: an unpinned torch would pull in gigabytes of CUDA. For CUDA see the README.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,dev]'
# Never installed, since it owns the name `xdist` too: a test installs it with xdist and reads the message.
	$(BIN)/python -m pip download --quiet --no-deps --dest .venv/wheels pytest-xdist==3.8.0
	touch .venv/ready

clean:
	rm -rf .venv .versions build dist
