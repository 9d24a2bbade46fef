"""Looking into a run's files before it starts: whether each can be read as what it should be, and which hold no gold."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from xdist.data.pieces import Piece, pool_pieces
from xdist.formats.gold import labelled
from xdist.tasks.catalog import Task
from xdist.tasks.catalog.task import pair


def look(root: Path, trained: Iterable[Piece], scored: Sequence[Piece]) -> list[Piece]:
    """Those of `scored` whose files hold no gold. What is `trained` on is looked into too, as far as it is there; running text
    is not, nor are candidates beyond the first. Raises UserError as readers do, naming file and line, and for a file without
    an example."""
    for piece in trained:
        if not piece.task.fields and all(path.is_file() for path in piece.task.paths(root, piece.split, piece.language)):
            _read(piece.task, root, piece.split, piece.language)
    gold: dict[tuple[Task, str, str], bool] = {}
    blanked = []
    for piece in scored:
        # The files of a mixed pair are those of its languages, each of which stands in many pairs.
        parts = [(piece.task.pairs_of or piece.task, piece.split, code) for code in _codes(piece)]
        for part in parts:
            if part not in gold:
                gold[part] = _read(part[0], root, *part[1:])
        if not all(gold[part] for part in parts):
            blanked.append(piece)
    for task in dict.fromkeys(piece.task for piece in scored):
        for piece in pool_pieces(task):
            next(iter(task.examples(root, piece.split, piece.language)))
    return blanked


def _read(task: Task, root: Path, split: str, language: str) -> bool:
    return labelled(list(task.examples(root, split, language)))


def _codes(piece: Piece) -> tuple[str, ...]:
    return pair(piece.language) if piece.task.pairs_of else (piece.language,)
