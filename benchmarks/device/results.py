"""One line of JSON for each result, on the disk when `write` returns."""

import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

RESULTS = "results.jsonl"
shown: TextIO = sys.stdout  # where lines are printed, in addition to the file


def write(out: Path, *, group: str, check: str, ok: bool | None, **values: Any) -> None:
    """Append a line to the results in `out` and print it. `ok` is None where nothing was checked: `reason` says why."""
    line = json.dumps({"group": group, "check": check, "ok": ok, **values}) + "\n"
    file = os.open(out / RESULTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
        os.fsync(file)
    finally:
        os.close(file)
    shown.write(line)
    shown.flush()


def read(out: Path) -> list[dict[str, Any]]:
    path = out / RESULTS
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
