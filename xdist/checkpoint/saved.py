"""What a checkpoint of any ZeRO stage holds, parameter by parameter: the fp32 weight and AdamW's two moments.

DeepSpeed's own way from one world or stage to another (deepspeed.checkpoint.ds_to_universal) writes a second checkpoint of one
file per parameter and moment, and leads neither from or to stage 0 nor from stage 3 to 1 or 2. Here the shards are mapped into
memory and cut where they are needed: nothing is written, at most one parameter is whole at a time, and a rank reads only the
pages of its own part.

Shards are unpickled, as DeepSpeed itself would: only a run's own, whose checksums were compared, may come here.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xdist.checkpoint.tags import Tag
from xdist.errors import UserError
from xdist.model.vocabulary import active_rows

WEIGHT, MOMENTS = "fp32", ("exp_avg", "exp_avg_sq")


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
    if tag.stage == 0:
        return _whole(common)
    # By rank: zero_pp_rank_10 comes after zero_pp_rank_9.
    shards = [_load(path) for path in sorted(tag.path.glob("*optim_states.pt"), key=_rank_of)]
    optimizers = [shard["optimizer_state_dict"] for shard in shards]
    if len(optimizers) != tag.world:
        raise UserError(f"{tag.path}: {len(optimizers)} optimizer shards of {tag.world} ranks")
    parameters = {name: Parameter(tuple(shape)) for group in common["param_shapes"] for name, shape in group.items()}
    step = (_of_partitions if tag.stage == 3 else _of_slices)(optimizers, parameters, common)
    return Saved(parameters, step, common)


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


def _of_slices(ranks: list[dict[str, Any]], parameters: dict[str, Parameter], _common: Any) -> int:
    """ZeRO 1 and 2: a rank has a slice of each group's parameters laid end to end."""
    updates = 0
    for rank in ranks:
        states = rank["base_optimizer_state"]["state"]
        for group, slices in enumerate(rank["param_slice_mappings"]):
            state = states[group]
            updates = int(state.get("step", 0))
            for name, where in slices.items():
                part = slice(where.start, where.start + where.numel)
                flat = {WEIGHT: rank["single_partition_of_fp32_groups"][group], **{key: state[key] for key in MOMENTS}}
                parameters[name].add(**{key: value.flatten()[part] for key, value in flat.items()})
    return updates


def _of_partitions(ranks: list[dict[str, Any]], parameters: dict[str, Parameter], common: dict[str, Any]) -> int:
    """ZeRO 3: a rank has an equal part of every parameter, the last ranks' padded."""
    updates = 0
    for number, rank in enumerate(ranks):
        for group, shapes in enumerate(common["param_shapes"]):
            if group not in rank["optimizer_state_dict"]["state"]:
                raise UserError("optimizer states that DeepSpeed keeps on NVMe resume at the same ranks and stage only")
            state = rank["optimizer_state_dict"]["state"][group]
            updates = int(state["step"])
            flat = {WEIGHT: rank["fp32_flat_groups"][group], **{key: state[key] for key in MOMENTS}}
            offset = 0
            for name, shape in shapes.items():
                part = -(-shape.numel() // len(ranks))
                there = max(0, min(part, shape.numel() - number * part))
                parameters[name].add(**{key: value[offset : offset + there] for key, value in flat.items()})
                offset += part
    return updates


def _whole(common: dict[str, Any]) -> Saved:
    """ZeRO 0: everything in one file; the optimizer counts parameters in the order of its groups. In bf16 the fp32 weights are
    in its wrapper."""
    optimizer, names = common["optimizer"], [name for group in common["parameters"] for name in group]
    weights = {name: common["module"][name] for name in names}
    if "fp32_groups" in optimizer:
        masters = [master for group in optimizer["fp32_groups"] for master in group]
        weights, optimizer = dict(zip(names, masters, strict=True)), optimizer["optimizer_state_dict"]
    numbers = [number for group in optimizer["param_groups"] for number in group["params"]]
    parameters, updates = {}, 0
    for name, number in zip(names, numbers, strict=True):
        state = optimizer["state"][number]
        updates = int(state["step"])
        parameters[name] = Parameter(tuple(weights[name].shape))
        parameters[name].add(**{WEIGHT: weights[name].detach().float(), **{key: state[key] for key in MOMENTS}})
    return Saved(parameters, updates, common)


def _load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", mmap=True, weights_only=False)


def _rank_of(path: Path) -> int:
    return int(path.name.split("pp_rank_")[1].split("_")[0])
