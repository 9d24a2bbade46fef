"""A model that gives the same output for everything. Its score may look real, so this is reported: at the end, in reports, to
sinks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xdist.formats.gold import gold_of, name_languages

FEWEST = 5  # predictions; fewer may well be equal
LONGEST = 60  # letters of what they all are


def collapse_of(predictions: Sequence[Any] | Mapping[str, Any], examples: Iterable[Any]) -> dict[str, Any] | None:
    """{"predictions": how many, "are": what all of them are}, tags counted one by one; None where they differ, are few, or the
    gold is all one value too."""
    listed = not isinstance(predictions, Mapping)
    found = _each_value(predictions.values() if isinstance(predictions, Mapping) else predictions, listed)
    if len(found) < FEWEST or any(one != found[0] for one in found):
        return None
    gold = _each_value((value for value in map(gold_of, examples) if value is not None), listed)
    if gold and all(one == gold[0] for one in gold):
        return None
    return {"predictions": len(found), "are": " ".join(str(found[0]).split())[:LONGEST] or "empty"}


def describe_collapse(task: str, entry: Mapping[str, Any]) -> list[str]:
    """Of a task's entry in scores.json a line for each value that all predictions of some languages are."""
    alike: dict[tuple[str, str], list[str]] = {}
    for code, one in entry.get("collapsed", {}).items():
        alike.setdefault((str(one["predictions"]), one["are"]), []).append(code)
    return [f"{task}: all {count} predictions are {value}: {name_languages(codes)}" for (count, value), codes in alike.items()]


def _each_value(values: Iterable[Any], tags: bool) -> list[Any]:
    """With `tags` the tags of each sentence; a ranking of rows stays one."""
    found: list[Any] = []
    for value in values:
        listed = tags and isinstance(value, list | tuple) and not (value and isinstance(value[0], int))
        found += value if listed else [value]
    return found
