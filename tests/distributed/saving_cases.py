"""Saves that are written while training continues."""

import threading
from pathlib import Path
from typing import Any

import torch
from distributed.cases import _training, whole_run

from xdist.checkpoint import saver, state_shards, store, tags
from xdist.checkpoint.host import HostMemory, states_of
from xdist.run import distributed


def copied(path: str, overrides: list[str], folder: str) -> dict[str, Any]:
    """Train two steps; save at once, then by copies that are not written before another step is made, and a second time by
    copies in the same memory. What of this rank's shards differs, bytes of the states, on disk and as they were foretold, bytes
    held."""
    made, places = _training(path, overrides), [Path(folder, name) for name in ("sync", "async", "again")]
    made.step(0)
    made.step(1)
    state, stage = {"step": 2, "parameters": made.engine.names}, made.engine.stage
    foretold = states_of(made.engine)
    assert not store.save_checkpoint(places[0], made.engine, 2, stage, 1, state)
    memory, plain, may = HostMemory(pinned=False), state_shards.write_shard, threading.Event()

    def write(*arguments: Any) -> dict[str, Any]:
        may.wait()
        return plain(*arguments)

    state_shards.write_shard = write
    try:
        saving = store.Saving(places[1], made.engine, 2, stage, 1, state, memory)
        made.step(2)
        busy = saving.busy
        may.set()
        assert not saving.settle()
    finally:
        state_shards.write_shard = plain
    held = memory.bytes
    assert not store.Saving(places[2], made.engine, 3, stage, 1, {**state, "step": 3}, memory).settle()
    made.close()
    distributed.barrier()
    differing, files = [], 0
    names = sorted(path.name for path in (places[0] / tags.tag_name(2)).glob("*.pt"))
    for name in names:
        one, other = (torch.load(place / tags.tag_name(2) / name, weights_only=False) for place in places[:2])
        differing += [f"{name}: {where}" for where in _differing(one, other)]
        files += (places[0] / tags.tag_name(2) / name).stat().st_size
    assert all((place / tags.LATEST).exists() for place in places)
    newer = tags.list_tags(places[2])
    (total,) = distributed.sum_over_ranks([float(foretold)])
    return {
        "busy": busy or (stage == 0 and distributed.rank() > 0),  # which has nothing to write
        "differing": differing,
        "foretold": total / files,
        "grown": memory.bytes - held,
        "damage": [tag.damage() for tag in newer],
        "steps": [tag.step for tag in newer],
    }


def _differing(one: Any, other: Any, where: str = "") -> list[str]:
    if isinstance(one, torch.Tensor):
        same = isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
        return [] if same else [where]
    if isinstance(one, dict):
        if list(one) != list(other):
            return [where]
        return [found for key in one for found in _differing(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, list | tuple):
        if len(one) != len(other):
            return [where]
        pairs = zip(one, other, strict=True)
        return [found for number, pair in enumerate(pairs) for found in _differing(*pair, f"{where}.{number}")]
    if type(one).__module__ in ("builtins", "torch"):
        return [] if one == other else [where]
    return [] if vars(one) == vars(other) else [where]


def stopped_while_it_writes(path: str, overrides: list[str], slow: float, quick: float) -> dict[str, Any]:
    """Train, stopped in the step after the first save, which takes `slow` seconds to write on rank 1; `quick` is what a save
    may take for another one."""
    import time

    plain, before = state_shards.write_shard, saver.QUICK

    def write(*arguments: Any) -> dict[str, Any]:
        if distributed.rank() == 1:
            time.sleep(slow)
        return plain(*arguments)

    state_shards.write_shard, saver.QUICK = write, quick
    try:
        return whole_run(path, overrides, stop_at=2)
    finally:
        state_shards.write_shard, saver.QUICK = plain, before
