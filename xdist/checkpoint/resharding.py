"""A checkpoint taken apart, parameter by parameter (the fp32 weight and AdamW's two moments), and loaded into an engine of
another number of ranks or another ZeRO stage, bit for bit.

DeepSpeed's own way from one world or stage to another (deepspeed.checkpoint.ds_to_universal) writes a second checkpoint of one
file per parameter and moment, and leads neither from or to stage 0 nor from stage 3 to 1 or 2. Here the shards are mapped into
memory and cut where they are needed: nothing is written, at most one parameter is complete at a time, and a rank reads only the
pages of its part.

Shards are unpickled, as DeepSpeed itself would: only a run's own, whose checksums were compared, may come here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xdist import private
from xdist.checkpoint.tags import Tag
from xdist.engine.engine import Engine
from xdist.errors import UserError
from xdist.model.vocabulary import active_rows
from xdist.private import MOMENTS, WEIGHT
from xdist.run import distributed


@dataclass(slots=True)
class Parameter:
    """A trained parameter; its pieces are flat and follow each other."""

    shape: tuple[int, ...]
    pieces: dict[str, list[Tensor]] = field(default_factory=lambda: {key: [] for key in (WEIGHT, *MOMENTS)})

    def add(self, **pieces: Tensor) -> None:
        for key, piece in pieces.items():
            self.pieces[key].append(piece.flatten())

    def cut(self, key: str, start: int, numel: int) -> Tensor:
        """(numel,) of the flat parameter (`fp32`) or moment from `start` on."""
        found, offset = [], 0
        for piece in self.pieces[key]:
            first, last = max(start - offset, 0), min(start + numel - offset, len(piece))
            if first < last:
                found.append(piece[first:last])
            offset += len(piece)
        return torch.cat(found) if found else torch.empty(0)

    def whole(self, key: str) -> Tensor:
        return torch.cat(self.pieces[key]).reshape(self.shape)


@dataclass(slots=True)
class Saved:
    """A checkpoint, read: parameters by name, and what is said once for all of them."""

    parameters: dict[str, Parameter]
    updates: int  # that AdamW has made
    common: dict[str, Any]  # DeepSpeed's counters, the scheduler's state, the client state


def read_saved(tag: Tag) -> Saved:
    """Map the shards of `tag`. Raises UserError for what cannot be taken apart."""
    models = sorted(tag.path.glob("*model_states.pt"))
    common = _load(models[0])
    # By rank: zero_pp_rank_10 comes after zero_pp_rank_9.
    found = sorted(tag.path.glob("*optim_states.pt"), key=_rank_of) if tag.stage else []
    if tag.stage and len(found) != tag.world:
        raise UserError(f"{tag.path}: {len(found)} optimizer shards of {tag.world} ranks")
    optimizers = [_load(path)["optimizer_state_dict"] for path in found]
    parameters = {name: Parameter(shape) for name, shape in private.shapes(tag.stage, common).items()}
    try:
        updates, parts = private.parts(tag.stage, common, optimizers)
    except ValueError as error:
        raise UserError(str(error)) from None
    for name, tensors in parts:
        parameters[name].add(**tensors)
    return Saved(parameters, updates, common)


def same_vocabulary(tag: Tag, model: nn.Module) -> None:
    """Raises UserError where `tag` holds other rows of the input embedding than `model` trains."""
    there = active_rows(_load(min(tag.path.glob("*model_states.pt")))["module"])
    here = active_rows(dict(model.named_buffers()))
    if there.keys() != here.keys() or not all(torch.equal(ids, here[name].cpu()) for name, ids in there.items()):
        counts = [", ".join(str(len(ids)) for ids in found.values()) or "all" for found in (there, here)]
        raise UserError(
            f"{tag.path}: was saved training {counts[0]} rows of the input embedding, this run trains {counts[1]}: the data or "
            "xdist changed; remove the checkpoints to start at step 0"
        )


def _load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", mmap=True, weights_only=False)


def _rank_of(path: Path) -> int:
    return int(path.name.split("pp_rank_")[1].split("_")[0])


def load_resharded(tag: Tag, engine: Engine, stage: int) -> dict[str, Any]:
    """Bring a fresh engine of `stage` to the saved step; returns the client state. Raises UserError. Collective."""
    saved = read_saved(tag)
    deepspeed = engine.deepspeed
    names = {id(parameter): name for name, parameter in engine.module.named_parameters()}
    missing = {name for group in engine.names for name in group} - saved.parameters.keys()
    if missing:
        raise UserError(f"{tag.path}: holds no weights for '{min(missing)}'")
    optimizer = getattr(deepspeed.optimizer, "optimizer", deepspeed.optimizer)  # itself at stage 0 in fp32
    for parameter, start, flat, offset, numel in _slots(deepspeed.optimizer, stage):
        source = saved.parameters[names[id(parameter)]]
        state = _state(optimizer, flat, saved)
        for key in (WEIGHT, *MOMENTS):
            target = flat.data if key == WEIGHT else state[key]
            target.view(-1)[offset : offset + numel].copy_(source.cut(key, start, numel))
    private.spread(deepspeed.optimizer, stage)
    common = saved.common
    deepspeed.lr_scheduler.load_state_dict(common["lr_scheduler"])
    for group, rate in zip(optimizer.param_groups, common["lr_scheduler"]["_last_lr"], strict=True):
        group["lr"] = rate
    for counter in ("global_steps", "global_samples", "skipped_steps"):
        setattr(deepspeed, counter, common[counter])
    distributed.barrier()
    return common


def _slots(optimizer: Any, stage: int) -> Iterator[private.Slot]:
    try:
        yield from private.slots(optimizer, stage, distributed.rank(), distributed.world())
    except ValueError as error:
        raise UserError(str(error)) from None


def _state(optimizer: torch.optim.Optimizer, flat: Tensor, saved: Saved) -> dict[str, Any]:
    """AdamW's state of a flat tensor, as it would be after the saved updates, its moments still to be filled in."""
    state: dict[str, Any] = optimizer.state[flat]
    if not all(key in state for key in MOMENTS):
        state.update({key: torch.zeros_like(flat.data) for key in MOMENTS})
    counts = isinstance(optimizer, torch.optim.AdamW)  # DeepSpeed's own AdamW counts in an int
    state["step"] = torch.tensor(float(saved.updates), device=flat.device) if counts else saved.updates
    return state
