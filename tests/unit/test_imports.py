"""What an import does: it only defines its names. Each case is its own process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATE = """
import gc, json, os, sys
def state():
    return [list(sys.path), dict(os.environ), gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), gc.get_debug()]
before = state()
"""
# Libraries set their own variables when they are first imported.
LIBRARIES = (
    "import torch, torch._inductor.utils, transformers, deepspeed, datasets, accelerate, tensorboard, pyarrow, rich, jinja2\n"
    "import sklearn\n"  # transformers before 5.20 does where it is installed
)
EVERY_MODULE = """
import importlib, pkgutil, xdist
changed = []
names = [module.name for module in pkgutil.walk_packages(xdist.__path__, "xdist.")]
for name in names:
    before = state()
    importlib.import_module(name)
    changed += [name] if state() != before else []
print(json.dumps([len(names), changed]))
"""
HEAVY = {"torch", "transformers", "deepspeed", "datasets", "pydantic", "numpy", "yaml", "click"}


def done_in_a_process(program: str) -> str:
    # Next to no variables, so that one that is only set where it is missing is seen too.
    variables = {"PATH": os.environ["PATH"]}
    line = [sys.executable, "-c", program]
    done = subprocess.run(line, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_module_changes_the_process_that_imports_it() -> None:
    number, changed = json.loads(done_in_a_process(LIBRARIES + STATE + EVERY_MODULE).splitlines()[-1])
    assert number > 250
    assert changed == []


@pytest.mark.parametrize("name", ["xdist", "xdist_xtreme"])
def test_the_package_alone_imports_nothing(name: str) -> None:
    program = f"{STATE}import {name}\nprint(json.dumps([state() == before, sorted(sys.modules)]))"
    same, imported = json.loads(done_in_a_process(program))
    assert same
    assert HEAVY.isdisjoint(imported)
    assert not [module for module in imported if module.startswith("xdist.") and module != "xdist.version"]
