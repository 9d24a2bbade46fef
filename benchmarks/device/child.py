"""One process of device_check.py: the checks of one group, or with --tiny of all, one after another."""

import argparse
import gc
import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from device import results
from device.results import write
from device.setup import Setup, Skipped

# A check gives values to write down; `ok` among them is its verdict, True where it is missing.
Check = Callable[[], Mapping[str, Any]]


def work(options: argparse.Namespace) -> None:
    """Writes a line for every check, also for those that do not run."""
    began = time.monotonic()
    results.shown = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to the log; stdout carries results only
    setup = Setup.made(options, began)
    modules = options.child.split(",")
    if options.name != "goldens":
        write(setup.out, group=options.name, check="environment", ok=True, **setup.environment())
    gc.freeze()  # as worker.main does: every engine that closes looks through what is left
    broken = ""
    for module in modules:
        if options.tiny and module == modules[0]:
            importlib.import_module("device.goldens").make(setup)
        group = options.name if len(modules) == 1 else module
        broken = carried_out(importlib.import_module(f"device.{module}").checks(setup), setup, group, broken)
    setup.close()
    os._exit(0)  # threads of libraries may not end


def carried_out(checks: Iterable[tuple[str, Check]], setup: Setup, group: str, broken: str = "") -> str:
    """Each check until there is no more time; after an error of CUDA itself, which stays with a process, none. That error."""
    for name, check in checks:
        reason = broken or ("" if setup.left() > 0 else "no time left")
        if reason:
            write(setup.out, group=group, check=name, ok=None, reason=reason)
            continue
        began = time.perf_counter()
        values: dict[str, Any]
        try:
            values = {"ok": True, **check()}
        except Skipped as skip:
            values = {"ok": None, "reason": str(skip)}
        except Exception as error:
            print(f"-- {name}", file=sys.stderr)
            traceback.print_exc()
            line = next(iter(str(error).strip().splitlines()), "")[:300]
            values = {"ok": False, "reason": f"{type(error).__name__}: {line}"}
            if "CUDA error" in str(error) and "out of memory" not in str(error):
                broken = "an error of CUDA before it in this process"
        if setup.device.type == "cpu":
            values.pop("goals", None)  # they are of a GPU
        write(setup.out, group=group, check=name, seconds=round(time.perf_counter() - began, 2), **values)
    return broken
