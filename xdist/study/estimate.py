"""What a run will cost, as far as that is known before it starts: updates, and tokens that are trained on.

Rows come from the prepared set, else from the task's official count; tokens from the prepared set, else at most as many as fit.
A perturbation reads the same tokens several times; that is not counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xdist.config import Run
from xdist.data.pieces import Piece, training_pieces
from xdist.data.shards import MANIFEST
from xdist.files import read_json


@dataclass(frozen=True, slots=True)
class Cost:
    """`tokens` are trained on; an upper bound where `bound` is true. None: not known before the data is there."""

    updates: int | None
    tokens: int | None
    bound: bool


def updates(run: Run) -> int | None:
    """Optimizer steps; None where they depend on a number of rows that is not known; 0 for a run that only evaluates."""
    if run.train is None:
        return 0
    if run.train.steps:
        return run.train.steps
    rows = [size for size, _, _ in _sizes(run)]
    if None in rows:
        return None
    return max(1, round((run.train.epochs or 1) * sum(size or 0 for size in rows) / run.train.batch_size))


def cost(run: Run) -> Cost:
    """Raises UserError as `training_pieces` does."""
    steps = updates(run)
    if run.train is None or steps is None:
        return Cost(steps, 0 if run.train is None else None, False)
    sizes = list(_sizes(run))
    longest = max(tokens for _, tokens, _ in sizes)
    known = [size for size, _, _ in sizes if size]
    weights = [size if len(known) == len(sizes) and size else 1 for size, _, _ in sizes]
    # Languages are drawn by size ** alpha; the mean length hardly depends on that, so sizes do.
    mean = sum(weight * tokens for weight, (_, tokens, _) in zip(weights, sizes, strict=True)) / sum(weights)
    bound = any(not exact for _, _, exact in sizes)
    return Cost(steps, round(steps * run.train.batch_size * (longest if bound else mean)), bound)


def _sizes(run: Run) -> Iterator[tuple[int | None, float, bool]]:
    """Per training piece (rows or None, tokens per row, whether they were counted)."""
    limits = [entry.limit for entry in (run.train.tasks if run.train else ()) for _ in entry.languages]
    for piece, limit in zip(training_pieces(run), limits, strict=True):
        manifest = _manifest(run, piece)
        rows = manifest["rows"] if manifest else piece.task.count("train", piece.language)
        length = run.data.max_length or piece.task.max_length
        tokens = manifest["tokens"] / max(1, manifest["rows"]) if manifest else float(length)
        yield (rows if limit is None or rows is None else min(rows, limit)) or limit, tokens, manifest is not None


def _manifest(run: Run, piece: Piece) -> dict[str, Any] | None:
    """Of the newest prepared set of this piece, whatever its tokenizer: near enough for an estimate."""
    found = run.data.cache.glob(f"{piece.task.name}-{piece.split}-{piece.language}-*/{MANIFEST}")
    newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    return read_json(newest) if newest else None
