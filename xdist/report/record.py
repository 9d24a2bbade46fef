"""What a run folder records beside its scores: configuration, versions, and the numbers logged while it trained."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdist.errors import UserError

Points = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Record:
    """`config` is the text of config.yaml; `environment` is environment.json with nested keys joined by dots;
    `metrics` holds (step, value) in order of step for each logged quantity. A file that is not there is empty here:
    a run that only evaluates has no metrics."""

    name: str
    config: str
    environment: Mapping[str, str]
    metrics: Mapping[str, Points]


def read_record(run: Path, name: str) -> Record:
    """Raises UserError naming file and line where a file is there but cannot be read."""
    config, environment = run / "config.yaml", run / "environment.json"
    return Record(
        name,
        config.read_text(encoding="utf-8") if config.is_file() else "",
        dict(_flat(_json(environment, environment.read_text(encoding="utf-8"), 1))) if environment.is_file() else {},
        read_metrics(run / "metrics.jsonl"),
    )


def read_metrics(file: Path) -> dict[str, Points]:
    """Points of every quantity of a metrics.jsonl. Of a step logged twice (a run that was resumed) the later stands."""
    if not file.is_file():
        return {}
    by_step: dict[int, dict[str, Any]] = {}
    lines = file.read_text(encoding="utf-8").split("\n")
    # What follows the last newline was cut off when the run was killed; it will be logged again.
    for number, line in enumerate(lines[:-1], start=1):
        entry = _json(file, line, number)
        if not isinstance(entry, dict) or not isinstance(entry.get("step"), int):
            raise UserError(f"{file}:{number}: expected a mapping with a whole number 'step'")
        by_step.setdefault(entry["step"], {}).update(entry)
    metrics: dict[str, Points] = {}
    for step, entry in sorted(by_step.items()):
        for key, value in entry.items():
            if key != "step" and isinstance(value, int | float) and not isinstance(value, bool):
                metrics.setdefault(key, []).append((step, float(value)))
    return metrics


def _json(file: Path, text: str, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{file}:{line + error.lineno - 1}: not valid JSON: {error.msg}") from None


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list):
        yield prefix, ", ".join(str(item) for item in value)
    elif value is not None:
        yield prefix, str(value)
