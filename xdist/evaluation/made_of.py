"""What predictions and scores were made of: kept in scores.json, so that they serve as long as that is there, and never mix."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdist.data.pieces import Piece, pool_pieces
from xdist.files import Digests, digest
from xdist.formats.gold import without_gold


@dataclass(frozen=True, slots=True)
class Made:
    """Digests for one piece: `inputs` of what the model saw of the files and of the candidates, `files` of both with all that
    they hold, gold too, `predictions` of the file of predictions."""

    inputs: str
    files: str
    predictions: str


def inputs_of(root: Path, piece: Piece, examples: Iterable[Any], digests: Digests) -> str:
    """`examples` are those of the piece, in their order."""
    seen = hashlib.sha256()
    for example in _seen(piece, examples):
        # ASCII alone: which characters `repr` shows as they are depends on the version of Python.
        seen.update(ascii(example).encode() + b"\n")
    return digest(seen.hexdigest(), [digests.of(path) for path in _paths(root, pool_pieces(piece.task))])


def files_of(root: Path, piece: Piece, digests: Digests) -> str:
    return digest([digests.of(path) for path in _paths(root, [piece, *pool_pieces(piece.task)])])


def _seen(piece: Piece, examples: Iterable[Any]) -> Iterator[Any]:
    """Without the gold that predictions do not depend on. Mined pairs depend on that of the development set, by which their
    threshold is chosen."""
    if piece.task.family == "bitext-mining" and piece.split == "dev":
        yield from examples
        return
    yield from map(without_gold, examples)


def _paths(root: Path, pieces: Iterable[Piece]) -> list[Path]:
    return [path for piece in pieces for path in piece.task.paths(root, piece.split, piece.language)]
