"""What stays of a run once it is finished and scored: with `runtime.keep_finished` less than everything."""

import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

from xdist.checkpoint import tags
from xdist.config.runtime import KeepFinished
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.evaluation.scores import Scores
from xdist.metrics import metric
from xdist.run.folder import NOT_KEPT, RunFolder

log = logging.getLogger(__name__)


def leave(folder: RunFolder, keep: KeepFinished, name: str, scored: Iterable[Subset]) -> int:
    """Remove from the folder of a finished run what is not to stay; returns the bytes that this freed. Called again it
    continues where it was interrupted. A model stays where any subset of `scored` has no score yet, as one without gold. Where
    a checkpoint is damaged, or the disk refuses, that is reported and everything else is done: the run is finished all the
    same."""
    freed = 0
    try:
        if keep == "weights":
            from xdist.checkpoint import stripped  # torch, which is not needed to look at a study

            freed = sum(bytes_less for _, bytes_less in stripped.strip_tags(folder.checkpoints, all_done=True))
        elif keep != "states":
            freed = _removed(folder.checkpoints)
        if keep == "scores" and folder.model.is_dir() and _all_scored(folder, name, tuple(scored)):
            folder.mark("finished", NOT_KEPT)
            freed += _removed(folder.model)
    except (UserError, OSError) as error:
        log.warning("%s: not all could be removed (runtime.keep_finished=%s): %s", folder.path, keep, error)
    if freed > 0:
        log.info("removed %.2f GB of this finished run (runtime.keep_finished=%s)", freed / 1e9, keep)
    return freed


def is_left(folder: RunFolder, keep: KeepFinished) -> bool:
    """Whether `leave` has been there, as far as folders show; a model without all scores is looked at again."""
    if keep == "weights":
        return all(tags.is_stripped(tag) for tag in tags.list_tags(folder.checkpoints))
    return keep == "states" or not (folder.checkpoints.is_dir() or (keep == "scores" and folder.model.is_dir()))


def _removed(place: Path) -> int:
    """Remove a folder under another name, so that it exists completely or not at all; the bytes that it took."""
    if not place.is_dir():
        return 0
    size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    going = place.with_name(f".{place.name}._removed")  # as files.LEFT knows what a killed start has left
    shutil.rmtree(going, ignore_errors=True)
    place.rename(going)
    shutil.rmtree(going)
    return size


def _all_scored(folder: RunFolder, name: str, subsets: tuple[Subset, ...]) -> bool:
    """False where nothing is scored: of such a run the model is all there is."""
    scores = Scores(folder.scores, name)
    found = [scores.of(one.task, one.split, one.language) or {} for one in subsets]
    return bool(found) and all(metric(one.task.metric).headline in numbers for one, numbers in zip(subsets, found, strict=True))
