"""What predictions and scores were made of: kept in scores.json, so that they serve as long as those exist, and never mix."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdist.data.subset import Subset, pool_subsets
from xdist.files import Digests, digest
from xdist.formats.gold import without_gold


@dataclass(frozen=True, slots=True)
class Made:
    """Digests for one subset: `inputs` of what the model saw of the files and of the candidates, `files` of both with all that
    they hold, gold too, `predictions` of the file of predictions."""

    inputs: str
    files: str
    predictions: str


def inputs_digest(root: Path, subset: Subset, examples: Iterable[Any], digests: Digests) -> str:
    """`examples` are those of the subset, in their order."""
    seen = hashlib.sha256()
    for example in _seen_by_model(subset, examples):
        # ASCII alone: which characters `repr` shows as they are depends on the version of Python.
        seen.update(ascii(example).encode() + b"\n")
    return digest(seen.hexdigest(), [digests.of(path) for path in _paths(root, pool_subsets(subset.task))])


def files_digest(root: Path, subset: Subset, digests: Digests) -> str:
    return digest([digests.of(path) for path in _paths(root, [subset, *pool_subsets(subset.task)])])


def _seen_by_model(subset: Subset, examples: Iterable[Any]) -> Iterator[Any]:
    """Without the gold that predictions do not depend on. Mined pairs depend on that of the development set, by which their
    threshold is chosen."""
    if subset.task.family == "bitext-mining" and subset.split == "dev":
        yield from examples
        return
    yield from map(without_gold, examples)


def _paths(root: Path, subsets: Iterable[Subset]) -> list[Path]:
    return [path for subset in subsets for path in subset.task.paths(root, subset.split, subset.language)]
