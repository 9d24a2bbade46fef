"""The commits of what `xdist fetch` has downloaded and a run reads: its record names them."""

from collections.abc import Iterable
from pathlib import Path

from xdist.data.claims import LOCK
from xdist.data.fetched import lock_of_model, read_lock, repository_folder
from xdist.data.subset import Subset


def commits(backbone: str, root: Path, subsets: Iterable[Subset]) -> dict[str, str]:
    """The commit of each fetched repository that is read, by its id; nothing of what came in another way."""
    lock = lock_of_model(backbone, root)
    found = {lock.id: lock.commit} if lock else {}
    for subset in subsets:
        hub = (subset.task.pairs_of or subset.task).hub
        if hub and hub.id not in found and subset.task.paths(root, subset.split, subset.language)[0].suffix == ".parquet":
            lock = read_lock(repository_folder(root, "dataset", hub.id) / LOCK)
            if lock:
                found[hub.id] = lock.commit
    return found
