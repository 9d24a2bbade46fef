"""The commits of what `xdist fetch` has brought and a run reads: its record names them."""

from xdist.config import Run
from xdist.data.claims import LOCK
from xdist.data.fetched import lock_of_model, place, read_lock
from xdist.data.pieces import Piece, evaluation_pieces, pool_pieces, selection_pieces, training_pieces


def commits(run: Run) -> dict[str, str]:
    """The commit of each fetched repository that the run reads, by its id; nothing of what came in another way."""
    lock = lock_of_model(run)
    found = {lock.id: lock.commit} if lock else {}
    for piece in _pieces(run):
        hub = (piece.task.pairs_of or piece.task).hub
        if hub and hub.id not in found and piece.task.paths(run.data.root, piece.split, piece.language)[0].suffix == ".parquet":
            lock = read_lock(place(run.data.root, "dataset", hub.id) / LOCK)
            if lock:
                found[hub.id] = lock.commit
    return found


def _pieces(run: Run) -> list[Piece]:
    scored = evaluation_pieces(run)
    return (
        training_pieces(run)
        + selection_pieces(run)
        + scored
        + [pool for task in {piece.task for piece in scored} for pool in pool_pieces(task)]
    )
