"""What a run folder records besides its scores: configuration, versions, and the numbers logged while it trained."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xdist.run.recorded import logged_steps, parse_recorded, recorded_text
from xdist.run.signature import signatures

Points = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Record:
    """`config` is the text of config.yaml; `environment` is environment.json with nested keys joined by dots; `metrics` holds
    (step, value) in order of step for each logged quantity; `signatures` a line on each task's score. A file that is not there
    is empty here: a run that only evaluates has no metrics."""

    name: str
    config: str
    environment: Mapping[str, str]
    metrics: Mapping[str, Points]
    signatures: Mapping[str, str] = field(default_factory=dict)


def read_record(run: Path, name: str) -> Record:
    """Raises DamagedError naming file and line where a file exists but cannot be read."""
    config, environment = run / "config.yaml", run / "environment.json"
    return Record(
        name,
        recorded_text(config) if config.exists() else "",
        dict(_flat(parse_recorded(recorded_text(environment), environment))) if environment.exists() else {},
        read_metrics(run / "metrics.jsonl"),
        signatures(run),
    )


def read_metrics(file: Path) -> dict[str, Points]:
    """Points of every quantity of a metrics.jsonl. Of a step logged twice (a run that was resumed) the later stands. Raises
    DamagedError naming file and line."""
    if not file.exists():
        return {}
    by_step: dict[int, dict[str, Any]] = {}
    for _, entry in logged_steps(file):
        by_step.setdefault(entry["step"], {}).update(entry)
    metrics: dict[str, Points] = {}
    for step, entry in sorted(by_step.items()):
        for key, value in entry.items():
            if key != "step" and isinstance(value, int | float) and not isinstance(value, bool):
                metrics.setdefault(key, []).append((step, _number(value)))
    return metrics


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.copysign(math.inf, value)


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list):
        yield prefix, ", ".join(str(item) for item in value)
    elif value is not None:
        yield prefix, str(value)
