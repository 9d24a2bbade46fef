"""What a run will cost, as far as that is known before it starts: updates, and tokens that are trained on.

Rows come from the prepared set, else from the task's official count; tokens from the prepared set, else at most as many as fit.
A perturbation reads the same tokens several times; that is not counted.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xdist.config import Data, Model, Train
from xdist.data.histogram import read_histogram
from xdist.data.shards import MANIFEST, read_manifest
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.estimate.shapes import Shape, shape_of
from xdist.estimate.usual import unusual_lines


@dataclass(frozen=True, slots=True)
class Cost:
    """`tokens` are trained on; an upper bound where `bound` is true. None: not known before the data exists. `attended`: how
    many tokens a token attends to in the mean; `rows`: of all training sets."""

    updates: int | None
    tokens: int | None
    bound: bool
    attended: float = 0.0
    rows: int | None = None


def updates(train: Train | None, data: Data, subsets: Sequence[Subset]) -> int | None:
    """Optimizer steps of training on `subsets`, those of `train` in its order; None where they depend on a number of rows that
    is not known; 0 for a run that only evaluates."""
    if train is None:
        return 0
    if train.steps:
        return train.steps
    rows = [size for size, *_ in _sizes(train, data, subsets)]
    if None in rows:
        return None
    return max(1, round((train.epochs or 1) * sum(size or 0 for size in rows) / train.batch_size))


def unusual_settings(
    train: Train | None, model: Model, data: Data, subsets: Sequence[Subset], shape: Shape | None = None
) -> list[str]:
    """A line on each setting of training on `subsets` that is far from what is usual (`xdist.estimate.usual`). `shape` is that
    of the encoder; None: searched where `model` says it is, and left aside where that is not here."""
    if train is None:
        return []
    if shape is None:
        with suppress(UserError):
            shape = shape_of(model.backbone)
    language_model = any(subset.task.family == "masked-lm" for subset in subsets)
    # Adapters take their own rates.
    matrices = shape.matrices if shape and model.adapter is None else None
    head, frozen = any(subset.task.needs_head for subset in subsets), model.embeddings_frozen
    return unusual_lines(train, updates(train, data, subsets), matrices, frozen, language_model, head)


def cost(train: Train | None, data: Data, subsets: Sequence[Subset]) -> Cost:
    steps = updates(train, data, subsets)
    if train is None or steps is None:
        return Cost(steps, 0 if train is None else None, False)
    sizes = list(_sizes(train, data, subsets))
    longest = max(tokens for _, tokens, _, _ in sizes)
    known = [size for size, *_ in sizes if size]
    weights = [size if len(known) == len(sizes) and size else 1 for size, *_ in sizes]
    # Languages are drawn by size ** alpha; the mean length hardly depends on that, so sizes do.
    mean = sum(weight * tokens for weight, (_, tokens, *_) in zip(weights, sizes, strict=True)) / sum(weights)
    attended = sum(weight * at for weight, (*_, at) in zip(weights, sizes, strict=True)) / sum(weights)
    bound = any(not exact for _, _, exact, _ in sizes)
    return Cost(steps, round(steps * train.batch_size * (longest if bound else mean)), bound, attended, sum(known) or None)


def _sizes(train: Train, data: Data, subsets: Sequence[Subset]) -> Iterator[tuple[int | None, float, bool, float]]:
    """Per training subset (rows or None, tokens per row, whether they were counted, tokens that one attends to)."""
    limits = [entry.limit if entry.rows is None else entry.rows for _, entry in train.by_subset]
    for subset, limit in zip(subsets, limits, strict=True):
        manifest = _manifest(data.cache, subset)
        rows = manifest["rows"] if manifest else subset.task.count("train", subset.language)
        length = (data.max_length or subset.task.max_length) * (2 if subset.task.family == "parallel" else 1)
        tokens = manifest["tokens"] / max(1, manifest["rows"]) if manifest else float(length)
        attended = _attended(manifest.get("lengths", {})) if manifest else 0.0
        rows = (rows if limit is None or rows is None else min(rows, limit)) or limit
        yield rows, tokens, manifest is not None, attended or tokens


def parallel_share(train: Train, data: Data, subsets: Sequence[Subset]) -> float:
    """Of the tokens that are trained on, those of parallel text, as far as weights or numbers of rows give it."""
    rows = [(size or 1) * tokens for size, tokens, *_ in _sizes(train, data, subsets)]
    entries = [entry for _, entry in train.by_subset]
    weights = [
        entry.weight / len(entry.languages) * tokens if entry.weight is not None else size
        for entry, size, (_, tokens, *_) in zip(entries, rows, _sizes(train, data, subsets), strict=True)
    ]
    parts = [weight for weight, subset in zip(weights, subsets, strict=True) if subset.task.family == "parallel"]
    return sum(parts) / sum(weights)


def embedding_rows(data: Data, subsets: Sequence[Subset]) -> int | None:
    """Rows of the input embedding that the training data uses, which are those that are trained (xdist.data.vocabulary); None
    where that is not known before the data exists."""
    used: np.ndarray | None = None
    for subset in subsets:
        counts = histogram_of(data.cache, subset)
        if counts is None:
            return None
        longer = max(len(counts), 0 if used is None else len(used))
        here = np.pad(counts > 0, (0, longer - len(counts)))
        used = here if used is None else here | np.pad(used, (0, longer - len(used)))
    return None if used is None else int(used.sum())


def histogram_of(cache: Path, subset: Subset) -> np.ndarray | None:
    """(ids,): how often each piece is in the newest prepared set of this subset; None where there is none."""
    path = _prepared(cache, subset)
    return read_histogram(path.parent) if path else None


def mixture(train: Train, data: Data, subsets: Sequence[Subset]) -> list[float]:
    """How often each of `subsets`, those of `train` in its order, is drawn among the others of its task; where sizes are not
    known, all equally."""
    rows = [size for size, *_ in _sizes(train, data, subsets)]
    return [float(size) ** train.alpha if size else 1.0 for size in rows] if all(rows) else [1.0] * len(rows)


def _prepared(cache: Path, subset: Subset) -> Path | None:
    """The manifest of the newest prepared set of this subset, for any tokenizer: near enough for an estimate."""
    begin = f"{subset.task.name}-{subset.split}-{subset.language}-"
    found = (
        path
        for path in cache.glob(f"{begin}*/{MANIFEST}")
        if "-" not in path.parent.name.removeprefix(begin)  # else it is of a longer code: 'be-x-old' is not 'be'
    )
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _manifest(cache: Path, subset: Subset) -> dict[str, Any] | None:
    path = _prepared(cache, subset)
    return read_manifest(path.parent) if path else None


def _attended(lengths: dict[str, int]) -> float:
    """From the number of rows by length; 0 where there are none."""
    tokens = sum(int(length) * rows for length, rows in lengths.items())
    return sum(int(length) ** 2 * rows for length, rows in lengths.items()) / tokens if tokens else 0.0
