# Two commands: `make demo` and `make test`; and `make test-clusters`, `make docs`. All make .venv first; `make versions` and
# `make trackers` others. PYTHON must be 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-system test-rest test-clusters versions trackers docs lint clean
.PRECIOUS: .versions/%/ready

demo: .venv/ready
	$(BIN)/xdist demo

# Starting processes leaves a core idle half of the time: two halves run side by side, each printed when it ends.
test: .venv/ready
	@echo "two halves of the tests side by side: each is printed when it ends"
	@$(MAKE) --no-print-directory -j2 $(if $(filter output-sync,$(.FEATURES)),-O) test-system test-rest

test-system: .venv/ready
	$(BIN)/python -m pytest -m "not cluster" tests/system

test-rest: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/unit tests/distributed

# On a real SLURM of two nodes, over sshd and network namespaces, under a simulated kubelet: where those can be had.
test-clusters: .venv/ready
	$(BIN)/python -m pytest -m cluster tests/system

# The middle of the suite on the lowest and on the highest versions that pyproject.toml allows, each in an environment of its own.
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

# The sinks of Weights & Biases, MLflow and Trackio with the real packages, each in an environment of its own: they need other
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

# The documentation as a site in build/site; a link that leads nowhere ends it.
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
# Never installed, since it owns the name `xdist` too: a test lays it beside xdist and reads the message.
	$(BIN)/python -m pip download --quiet --no-deps --dest .venv/wheels pytest-xdist==3.8.0
	touch .venv/ready

clean:
	rm -rf .venv .versions build dist
