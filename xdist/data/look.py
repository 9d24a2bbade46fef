"""Looking into a run's files before it starts: whether each can be read as what it should be, and which hold no gold."""

from pathlib import Path

from xdist.config import Run
from xdist.data.pieces import Piece, evaluation_pieces, pool_pieces, selection_pieces, training_pieces
from xdist.formats.gold import labelled
from xdist.tasks.catalog import Task
from xdist.tasks.catalog.task import pair


def look(run: Run, train: bool = True) -> list[Piece]:
    """The pieces that `run.evaluate` asks for whose files hold no gold. With `train` what it trains on is looked into too, as
    far as it is there; running text is not, nor are candidates beyond the first. Raises UserError as readers do, naming file
    and line."""
    for piece in training_pieces(run) + selection_pieces(run) if train else ():
        if not piece.task.fields and all(path.is_file() for path in _paths(run, piece)):
            _read(piece.task, run.data.root, piece.split, piece.language)
    gold: dict[tuple[Task, str, str], bool] = {}
    blanked = []
    for piece in evaluation_pieces(run):
        # The files of a mixed pair are those of its languages, each of which stands in many pairs.
        parts = [(piece.task.pairs_of or piece.task, piece.split, code) for code in _codes(piece)]
        for part in parts:
            if part not in gold:
                gold[part] = _read(part[0], run.data.root, *part[1:])
        if not all(gold[part] for part in parts):
            blanked.append(piece)
    for task in dict.fromkeys(piece.task for piece in evaluation_pieces(run)):
        for piece in pool_pieces(task):
            next(iter(task.examples(run.data.root, piece.split, piece.language)))
    return blanked


def _read(task: Task, root: Path, split: str, language: str) -> bool:
    return labelled(list(task.examples(root, split, language)))


def _codes(piece: Piece) -> tuple[str, ...]:
    return pair(piece.language) if piece.task.pairs_of else (piece.language,)


def _paths(run: Run, piece: Piece) -> tuple[Path, ...]:
    return piece.task.paths(run.data.root, piece.split, piece.language)
