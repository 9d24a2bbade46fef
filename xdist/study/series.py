"""Conditions of a study that differ from each other in one number alone, such as a radius."""

from collections.abc import Mapping
from typing import Any

from xdist.report.asked import NumberSeries


def number_series(values: Mapping[str, Mapping[str, Any]], against: Mapping[str, str | None]) -> tuple[NumberSeries, ...]:
    """Of conditions, by the `values` of their keys, those that differ from each other in one number alone, and are compared
    with the same one; two at least."""
    compared = {name: found for name, found in values.items() if against.get(name) is not None}
    texts = {name: {key: repr(value) for key, value in found.items()} for name, found in compared.items()}
    keys = dict.fromkeys(key for found in texts.values() for key in found)
    differing = [key for key in keys if len({found.get(key) for found in texts.values()}) > 1]
    numbers = {
        key: {name: found[key] for name, found in compared.items() if type(found.get(key)) in (int, float)} for key in differing
    }
    series: list[NumberSeries] = []
    for key, of_condition in numbers.items():
        alike: dict[tuple[Any, ...], dict[float, str]] = {}
        for name, number in of_condition.items():
            rest = tuple(texts[name].get(other) for other in differing if other != key)
            alike.setdefault((against[name], rest), {}).setdefault(number, name)
        series += [
            NumberSeries(key, str(baseline), dict(sorted(members.items())))
            for (baseline, _), members in alike.items()
            if len(members) > 1
        ]
    return tuple(series)
