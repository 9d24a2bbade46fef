"""In which keys runs differ."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xdist.config.run import Run

TRAINED = ("model", "data", "train", "robust", "plugins", "seed")


def differing_keys(runs: Sequence[Run], sections: Sequence[str] = TRAINED) -> dict[str, tuple[Any, ...]]:
    """The keys of `sections` that are not equal in all `runs`, as "train.steps", each with the value of every run; None where
    one does not have the key."""
    flat = [dict(leaves({name: run.dump().get(name) for name in sections})) for run in runs]
    found = {key: tuple(one.get(key) for one in flat) for one in flat for key in one}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values)}


def leaves(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a dumped run that is no section, with its key."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{at}.{key}" if at else str(key))
    elif isinstance(value, list) and len(value) == 1 and isinstance(value[0], Mapping):
        yield from leaves(value[0], at)  # a list of one says what its one member says
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{at}.{number}")
    else:
        yield at, value
