"""Checkpoints in shards: every rank writes its own, to the disk and with a checksum, under a temporary name (checkpoint.tags).

A rank that cannot write says nothing at once: it takes part in every collective of the save, and all ranks agree on the outcome
afterwards. So a full disk on one node costs a checkpoint, not the run.

Where there is memory, a rank copies its states and continues training while a thread writes the copies. The threads never speak
to each other: ranks report in the one reduction of each step whether theirs still writes, and once none does, all take the same
part of `Saving.advance` after the same step.
"""

import logging
import shutil
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from xdist import private
from xdist.checkpoint import tags
from xdist.checkpoint.host import HostMemory
from xdist.checkpoint.resharding import load_resharded, same_vocabulary
from xdist.checkpoint.state_shards import Behind, Files, StateShards
from xdist.checkpoint.tags import Tag
from xdist.engine.engine import Engine
from xdist.errors import UserError
from xdist.run import distributed

log = logging.getLogger(__name__)


class Saving:
    """A save that has started. It counts when `advance` has said so: every rank's shards are on the disk then, and the tag is
    made. All methods but `busy` and `give_up` are collective."""

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        step: int,
        stage: int,
        keep: int,
        client_state: dict[str, Any],
        memory: HostMemory | None = None,
    ) -> None:
        """Save `step` done steps; with `memory` by copies there, which are made when this returns."""
        self.folder, self.step, self.stage, self.keep = folder, step, stage, keep
        self._began = time.perf_counter()
        self._at_once = memory is None
        self._shards = StateShards(memory)
        self._gathered = False
        saving = folder / tags.SAVING
        if distributed.rank() == 0:
            with self._shards.note_errors():
                shutil.rmtree(saving, ignore_errors=True)  # what a killed save may have left
                folder.mkdir(exist_ok=True)  # in a run folder that exists: one that was removed does not come again
                saving.mkdir()
        if not distributed.agree(self._shards.problem):
            self._shards.open(saving)
            deepspeed = engine.deepspeed
            with private.shards_written_by(deepspeed, self._shards.take):
                deepspeed.save_checkpoint(
                    str(folder), tag=tags.SAVING, client_state=client_state, save_latest=False, exclude_frozen_parameters=True
                )
        self._work = Behind(self._shards.write, self._at_once)

    @property
    def busy(self) -> bool:
        """Whether something of it is being written on this rank."""
        return self._work.busy

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self._began

    def advance(self) -> str | None:
        """Wait until no rank is busy, then do what comes next. None: there is more to come; else it is over, with "" or, on
        every rank, with what kept a rank from writing: nothing of the attempt is then left, and the earlier tags are."""
        self._work.wait()
        if self._gathered:
            problem: str | None = distributed.agree(self._shards.problem)
            return problem
        self._gathered = True
        written = distributed.gather_on_first((self._shards.files, self._shards.problem))
        if written is not None:
            self._work = Behind(partial(self._finish, written), self._at_once)
        return None

    def settle(self) -> str:
        """Wait for its end, which is as `advance` says it."""
        while (outcome := self.advance()) is None:
            pass
        return outcome

    def give_up(self) -> None:
        """Have what still writes here end, without a word to the other ranks."""
        self._shards.give_up()
        with suppress(Exception):  # the error that ends this run has been raised
            self._work.wait(5)  # longer where a disk does not answer, and then it ends with the process

    def _finish(self, written: list[tuple[Files, str]]) -> None:
        """Make a tag of what all ranks have written, or remove it."""
        saving, shards = self.folder / tags.SAVING, self._shards
        shards.problem = next((problem for _, problem in written if problem), "")
        with shards.note_errors():
            if not shards.problem:
                files: Files = {name: file for rank, _ in written for name, file in rank.items()}
                tags.finish_tag(self.folder, self.step, len(written), self.stage, files | _other_files(saving, files))
                tags.prune_tags(self.folder, self.keep)
        if shards.problem:
            shutil.rmtree(saving, ignore_errors=True)


def save_checkpoint(folder: Path, engine: Engine, step: int, stage: int, keep: int, client_state: dict[str, Any]) -> str:
    """Save `step` done steps as a tag and drop all but the last `keep`, while training waits. Returns as `Saving.settle` does.
    Collective."""
    return Saving(folder, engine, step, stage, keep, client_state).settle()


def _other_files(saving: Path, files: Files) -> Files:
    """What DeepSpeed wrote next to the shards: optimizer states that it keeps on NVMe."""
    others = [path for path in saving.rglob("*") if path.is_file() and str(path.relative_to(saving)) not in files]
    for path in others:
        tags.sync_to_disk(path)
    return {str(path.relative_to(saving)): {"size": path.stat().st_size, "sha256": tags.checksum(path)} for path in others}


def find_checkpoint(folder: Path, verify: bool = True) -> Tag | None:
    """The newest intact tag, of which every rank has read a share. Damaged newer ones are named and set aside. Raises UserError
    where several tags exist and none is intact, which no accident of one save explains, and where none has states to
    resume from. Collective."""
    there: list[Tag] = distributed.agree(tags.list_tags(folder) if distributed.rank() == 0 else None)
    found = [tag for tag in there if tag.has_states]
    stripped = len(there) - len(found)
    damaged: list[Tag] = []
    for tag in reversed(found):
        wrong = tag.damage(distributed.rank(), distributed.world()) if verify else tag.shrunken()
        shares = distributed.gather_on_first(wrong)
        wrong = distributed.agree([line for share in shares for line in share] if shares is not None else None)
        if not wrong:
            if distributed.rank() == 0:
                for other in damaged:
                    tags.set_tag_aside(other)
            distributed.barrier()
            return tag
        damaged.append(tag)
        if distributed.rank() == 0:
            log.warning("%s is damaged and not used: %s", tag.path, "; ".join(wrong))
    if stripped and len(damaged) < 2:
        raise UserError(
            f"{folder}: the checkpoint{'s hold' if stripped > 1 else ' holds'} weights alone, without optimizer states to "
            "resume from; remove the folder to start at step 0"
        )
    if len(damaged) > 1:
        raise UserError(f"{folder}: none of the {len(damaged)} checkpoints is intact; remove the folder to start at step 0")
    if damaged and distributed.rank() == 0:
        log.warning("%s holds no other checkpoint: starting at step 0", folder)
        tags.set_tag_aside(damaged[0])
    distributed.barrier()
    return None


def load_checkpoint(tag: Tag, engine: Engine, stage: int) -> dict[str, Any]:
    """Bring a fresh engine of `stage` to the saved step; returns the client state. Raises UserError. Collective."""
    same_vocabulary(tag, engine.module)
    if tag.stage != stage or (stage and tag.world != distributed.world()):
        log.info("%s was saved by %d ranks at ZeRO %d: resharding", tag.path, tag.world, tag.stage)
        return load_resharded(tag, engine, stage)
    path, client_state = engine.deepspeed.load_checkpoint(str(tag.path.parent), tag=tag.path.name, load_module_strict=False)
    if path is None:
        raise UserError(f"{tag.path}: DeepSpeed could not load this checkpoint")
    state: dict[str, Any] = client_state
    return state
