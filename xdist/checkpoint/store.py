"""Checkpoints in shards: every rank writes its own, to the disk and with a checksum, under a temporary name (checkpoint.tags).

A rank that cannot write says nothing at once: it takes part in every collective of the save, and all ranks agree on the outcome
afterwards. So a full disk on one node costs a checkpoint, not the run.

`Saver` says when a run saves, what it does when it cannot, and what saving costs.
"""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch

from xdist import private
from xdist.checkpoint import tags
from xdist.checkpoint.resharding import load_resharded, same_vocabulary
from xdist.checkpoint.tags import Tag
from xdist.config.run import Runtime
from xdist.engine.engine import Engine
from xdist.errors import RunError, UserError
from xdist.run import distributed

log = logging.getLogger(__name__)
Files = dict[str, dict[str, Any]]


class _Summed:
    """A file that is only written to and sums up what goes by, so that the shard is not read again for its checksum."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.size, self.sum = file, 0, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            self._file.write(data)
        except OSError as error:
            self.error = error
            raise
        self.sum.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        self._file.flush()


def write_shard(state: Any, path: Path) -> dict[str, Any]:
    """Save `state` at `path`, on the disk when this returns; its size and sha256. Raises OSError."""
    with path.open("wb") as file:
        summed = _Summed(file)
        try:
            torch.save(state, summed)  # type: ignore[arg-type]
        except RuntimeError:  # the zip writer speaks of an unexpected position
            if summed.error:
                raise summed.error from None
            raise
        file.flush()
        os.fsync(file.fileno())
    return {"size": summed.size, "sha256": summed.sum.hexdigest()}


class _Shards:
    """What this rank wrote during one save, and what kept it from writing."""

    def __init__(self) -> None:
        self.files: Files = {}
        self.problem = ""

    def save(self, state_dict: Any, path: str) -> None:
        """Stands in for DeepSpeed's writer."""
        try:
            self.files[Path(path).name] = write_shard(state_dict, Path(path))
        except OSError as error:
            self._note(error, f" ({Path(path).name})")

    @contextmanager
    def excused(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._note(error)

    def _note(self, error: OSError, where: str = "") -> None:
        self.problem = self.problem or f"rank {distributed.rank()}: {error.strerror or error}{where}"


def save(folder: Path, engine: Engine, step: int, stage: int, keep: int, client_state: dict[str, Any]) -> str:
    """Save `step` done steps as a tag and drop all but the last `keep`. Returns "" or, on every rank, what kept a rank from
    writing; nothing of the attempt is then left, and the earlier tags are. Collective."""
    saving = folder / tags.SAVING
    shards = _Shards()
    if distributed.rank() == 0:
        with shards.excused():
            shutil.rmtree(saving, ignore_errors=True)  # what a killed save may have left
            folder.mkdir(exist_ok=True)  # in a run folder that is there: one that was removed does not come again
            saving.mkdir()
    if problem := distributed.agree(shards.problem):
        return problem
    deepspeed = engine.deepspeed
    with private.shards_written_by(deepspeed, shards.save):
        deepspeed.save_checkpoint(
            str(folder), tag=tags.SAVING, client_state=client_state, save_latest=False, exclude_frozen_parameters=True
        )
    written = distributed.gather_on_first((shards.files, shards.problem))
    if written is not None:
        shards.problem = next((problem for _, problem in written if problem), "")
        with shards.excused():
            if not shards.problem:
                files: Files = {name: file for rank, _ in written for name, file in rank.items()}
                tags.finish(folder, step, distributed.world(), stage, files | _others(saving, files))
                tags.prune(folder, keep)
        if shards.problem:
            shutil.rmtree(saving, ignore_errors=True)
    return distributed.agree(shards.problem)


def _others(saving: Path, files: Files) -> Files:
    """What DeepSpeed wrote beside the shards: optimizer states that it keeps on NVMe."""
    others = [path for path in saving.rglob("*") if path.is_file() and str(path.relative_to(saving)) not in files]
    for path in others:
        tags.to_disk(path)
    return {str(path.relative_to(saving)): {"size": path.stat().st_size, "sha256": tags.checksum(path)} for path in others}


def find(folder: Path, verify: bool = True) -> Tag | None:
    """The newest whole tag, of which every rank has read a share. Damaged newer ones are named and set aside. Raises UserError
    where several tags are there and none is whole, which no accident of one save explains. Collective."""
    found = distributed.agree(tags.tags(folder) if distributed.rank() == 0 else None)
    damaged: list[Tag] = []
    for tag in reversed(found):
        wrong = tag.damage(distributed.rank(), distributed.world()) if verify else tag.shrunken()
        shares = distributed.gather_on_first(wrong)
        wrong = distributed.agree([line for share in shares for line in share] if shares is not None else None)
        if not wrong:
            if distributed.rank() == 0:
                for other in damaged:
                    tags.set_aside(other)
            distributed.barrier()
            return tag
        damaged.append(tag)
        if distributed.rank() == 0:
            log.warning("%s is damaged and not used: %s", tag.path, "; ".join(wrong))
    if len(damaged) > 1:
        raise UserError(f"{folder}: none of the {len(damaged)} checkpoints is whole; remove the folder to start at step 0")
    if damaged and distributed.rank() == 0:
        log.warning("%s holds no other checkpoint: starting at step 0", folder)
        tags.set_aside(damaged[0])
    distributed.barrier()
    return None


def load(tag: Tag, engine: Engine, stage: int) -> dict[str, Any]:
    """Bring a fresh engine of `stage` to the saved step; returns the client state. Raises UserError. Collective."""
    same_vocabulary(tag, engine.module)
    if tag.stage != stage or (stage and tag.world != distributed.world()):
        log.info("%s was saved by %d ranks at ZeRO %d: resharding", tag.path, tag.world, tag.stage)
        return load_resharded(tag, engine, stage)
    path, client_state = engine.deepspeed.load_checkpoint(str(tag.path.parent), tag=tag.path.name, load_module_strict=False)
    if path is None:
        raise UserError(f"{tag.path}: DeepSpeed could not load this checkpoint")
    return client_state


log = logging.getLogger(__name__)
ATTEMPTS = 3


class Saver:
    """Saves every so many steps or minutes. A save that fails is tried again when the next is due; after three in a row the run
    ends, since it would lose more and more work."""

    def __init__(
        self, folder: Path, engine: Engine, stage: int, runtime: Runtime, more: Callable[[], dict[str, Any]] = dict
    ) -> None:
        self.folder, self.engine, self.stage, self.runtime = folder, engine, stage, runtime
        self.more = more  # to be saved beside the engine's state; collective
        self._started = self._last = time.perf_counter()
        self._seconds = 0.0
        self._failed = 0

    def due(self, done: int) -> bool:
        """Whether to save after `done` steps: the same answer on every rank. Collective where minutes count."""
        if done % self.runtime.save_every == 0:
            return True
        if self.runtime.save_minutes is None:
            return False
        return distributed.agree(time.perf_counter() - self._last >= 60 * self.runtime.save_minutes)

    def save(self, step: int, last: bool = False) -> float:
        """Save; returns the seconds that it took. Raises RunError after the third failure in a row, and at the first one where
        no other save will follow (`last`). Collective."""
        started = time.perf_counter()
        state = {"step": step, "parameters": self.engine.names, **self.more()}
        problem = save(self.folder, self.engine, step, self.stage, self.runtime.keep, state)
        self._last = time.perf_counter()
        self._seconds += self._last - started
        if not problem:
            self._failed = 0
            return self._last - started
        self._failed += 1
        kept = self.last_good()
        if last or self._failed >= ATTEMPTS:
            times = f" ({self._failed} times in a row)" if self._failed > 1 else ""
            raise RunError(f"step {step} could not be saved{times}: {problem}; {kept}; make room, then start the run again")
        if distributed.rank() == 0:
            log.warning("step %d could not be saved: %s; %s; trying again at the next save", step, problem, kept)
        return self._last - started

    def last_good(self) -> str:
        """Where the run can go on from, in words."""
        good = tags.last_good(self.folder)
        return f"the last good checkpoint is {good.path}" if good else "there is no good checkpoint yet"

    @property
    def share(self) -> float:
        """The share of the time since the start that went into saving."""
        return self._seconds / max(time.perf_counter() - self._started, 1e-9)
