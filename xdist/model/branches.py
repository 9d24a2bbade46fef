"""Branches: the top layers of an encoder once for each supervised language, on shared lower layers.

The first language has the encoder's own layers; the others have copies, each a child of the layer of which it is a copy, as
adapters are. The lower layers run once for all rows; then each branch runs on those rows alone that need it, as the encoder
itself does, with their states instead of its embeddings and its layers instead of all. So every layout, position and mask is
made as ever. A text in a language without a branch is read by all of them, and has the mean of their states.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel

from xdist.data.branches import INDEX, BranchIndex, branch_name, is_branch_weight
from xdist.errors import UserError
from xdist.files import write_json
from xdist.languages import same_language
from xdist.model.kinds import EncoderKind, kind_of
from xdist.model.layers import keep_lower_layers
from xdist.tasks.batch import Batch, Mixture

_HELD = "xdist_branches"
Inputs = Callable[[PreTrainedModel, Batch], dict[str, Any]]


@dataclass(slots=True)
class LanguageBranches:
    """Those of an encoder. `mixed`: whether a language that has a branch is read by the mean of all, too."""

    index: BranchIndex
    mixed: bool = False

    @property
    def count(self) -> int:
        return len(self.index.languages)

    def own(self, batch: Batch) -> list[int | None]:
        """The number of the branch of each row's language, None: the mean of all."""
        codes = batch.languages or ("",) * len(batch.row_ids)
        numbers = {code: None if self.mixed else self._number(code) for code in dict.fromkeys(codes)}
        return [numbers[code] for code in codes]

    def _number(self, language: str) -> int | None:
        return next(
            (at for at, code in enumerate(self.index.languages) if code == language or same_language(code, language)), None
        )

    def describe_languages(self, languages: Sequence[str]) -> list[str]:
        """A line on the languages without their own branch."""
        without = [code for code in dict.fromkeys(languages) if self._number(code) is None]
        return [f"languages without a branch are read by the mean of all branches: {', '.join(without)}"] if without else []


def branches_of(encoder: nn.Module) -> LanguageBranches | None:
    """What an encoder has; None without branches."""
    return cast(LanguageBranches | None, getattr(encoder, _HELD, None))


def begin_branches(encoder: PreTrainedModel, index: BranchIndex) -> None:
    """Give `encoder` branches that begin as its own top layers."""
    for at in _top_layers(encoder, index):
        own = encoder.get_submodule(at)
        with _gather_module(own):
            # Copies share the configuration, which decides how attention computes.
            copies = [deepcopy(own, {id(encoder.config): encoder.config}) for _ in index.languages[1:]]
        for number, copy in enumerate(copies, 1):
            own.add_module(branch_name(number), copy)
    setattr(encoder, _HELD, LanguageBranches(index))


def read_branches(encoder: PreTrainedModel, index: BranchIndex, folder: Path) -> None:
    """Give `encoder` the branches whose weights are in `folder`. Raises UserError for weights that are missing or do not
    fit."""
    begin_branches(encoder, index)
    values: dict[str, Tensor] = {}
    for file in sorted(folder.glob("model*.safetensors")):
        with safe_open(file, "pt") as shard:
            values |= {name: shard.get_tensor(name) for name in shard.keys() if is_branch_weight(name)}  # noqa: SIM118
    wanted = {name: value for name, value in encoder.named_parameters() if is_branch_weight(name)}
    for name, parameter in wanted.items():
        if name not in values or values[name].shape != parameter.shape:
            raise UserError(f"{folder}: holds no weight '{name}' of a branch that fits {INDEX}")
        if not bool(values[name].isfinite().all()):
            raise UserError(
                f"{folder}: the weight '{name}' holds numbers that are not finite; the model is damaged or diverged"
            )
        parameter.data.copy_(values[name])


def write_branches(encoder: PreTrainedModel, folder: Path) -> None:
    """In addition to the weights of an encoder which branches they hold, where they hold some."""
    if branches := branches_of(encoder):
        write_json(folder / INDEX, {"layers": branches.index.layers, "languages": list(branches.index.languages)})


def branch_states(
    inputs: Inputs, encoder: PreTrainedModel, batch: Batch, layer: int, mixture: Mixture | None, below: list[Tensor]
) -> Tensor:
    """(T, d) of a hidden layer that branches have. `inputs`: what the encoder is called with to read a batch. `mixture`: from
    weights (R, branches) of the branches in each row's states to those that they are to have. `below`: the states under the
    branches, put there by the first who asks."""
    branches, kind = branches_of(encoder), kind_of(encoder.config)
    assert branches
    index, last = branches.index, encoder.config.num_hidden_layers
    bottom = last - index.layers
    if not below:
        with keep_lower_layers(encoder, kind, bottom):
            below.append(encoder(**inputs(encoder, batch)).last_hidden_state)
    own = branches.own(batch)
    weights = torch.tensor(
        [[1 / branches.count if at is None else float(at == number) for number in range(branches.count)] for at in own],
        device=batch.tokens.device,
    )
    weights = mixture(weights) if mixture else weights
    every = encoder.training or any(hasattr(parameter, "ds_id") for parameter in encoder.parameters())
    lengths = _row_lengths(batch)
    total, idle = below[0].new_zeros(len(batch.tokens), below[0].shape[-1], dtype=torch.float32), None
    for number in range(branches.count):
        rows = [row for row, at in enumerate(own) if mixture or at in (number, None)]
        if not rows and not every:
            continue
        # As heads do, every branch takes part in every step, and at ZeRO 3 in every pass, with weight 0.
        read_here = rows or [min(range(len(lengths)), key=lengths.__getitem__)]
        part, places = _part_of_batch(batch, read_here)
        found = _states_above(inputs, encoder, kind, number, layer, _feed_states(batch, below[0], part, places), part)
        if not rows:
            idle = found.float().sum() * 0.0
        elif places is None and not mixture and all(at == number for at in own) and not every:
            return found
        else:
            share = weights[torch.tensor(rows, device=weights.device), number][part.token_row]
            weighted = found.float() * share[:, None]
            total = total + weighted if places is None else total.index_add(0, places, weighted)
    return (total if idle is None else total + idle).to(below[0].dtype)


def _states_above(
    inputs: Inputs,
    encoder: PreTrainedModel,
    kind: EncoderKind,
    number: int,
    layer: int,
    feed: Callable[[bool], Tensor],
    part: Batch,
) -> Tensor:
    """(T', d) of `part` after `layer`, from the states under the branches by branch `number`."""
    called, last = inputs(encoder, part), encoder.config.num_hidden_layers
    branches = branches_of(encoder)
    assert branches
    names = _top_layers(encoder, branches.index)[: branches.index.layers - (last - layer)]
    layers = [encoder.get_submodule(f"{at}.{branch_name(number)}" if number else at) for at in names]
    stack = f"{kind.stack}." if kind.stack else ""
    parts: dict[str, nn.Module | None] = {
        kind.embedded: _Given(feed("packing" in called)),
        stack + kind.layers: nn.ModuleList(layers),
    }
    if kind.closing and layer < last:
        parts[stack + kind.closing] = nn.Identity()
    # What belongs to the beginning has been there already.
    begins = {kind.widening: nn.Identity(), kind.after_first and stack + kind.after_first: None}
    modules = dict(encoder.named_modules())
    parts |= {name: part for name, part in begins.items() if name and name in modules}
    with _replace_layers(encoder, parts):
        return part.of_tokens(encoder(**called).last_hidden_state)


class _Given(nn.Module):
    """States instead of those that an embedding layer makes."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.given = states

    def forward(self, *_inputs: object, **_more: object) -> Tensor:
        return self.given


def _feed_states(batch: Batch, below: Tensor, part: Batch, places: Tensor | None) -> Callable[[bool], Tensor]:
    """The states `below` of `part`, in the layout of the inputs: in one row where it is packed."""

    def given(packed: bool) -> Tensor:
        if places is None:
            return below
        chosen = batch.of_tokens(below)[places]
        if packed:
            return chosen[None]
        rectangle = chosen.new_zeros(len(part.lengths) * part.width, chosen.shape[-1])
        return rectangle.index_copy(0, part.padded_index, chosen).view(len(part.lengths), part.width, -1)

    return given


def _part_of_batch(batch: Batch, rows: Sequence[int]) -> tuple[Batch, Tensor | None]:
    """These rows of a batch, and the places (T',) of their tokens there; None: all as they are."""
    if len(rows) == len(batch.row_ids):
        return batch, None
    device, new = batch.tokens.device, {row: number for number, row in enumerate(rows)}
    of_row = _row_of_sequences(batch)
    lengths = [length for length, row in zip(batch.host_lengths, of_row, strict=True) if row in new]
    wanted = torch.tensor([row in new for row in of_row])
    places = wanted.repeat_interleave(torch.tensor(batch.host_lengths)).nonzero()[:, 0].to(device)
    part = Batch(
        batch.head,
        batch.tokens[places],
        torch.tensor(lengths, device=device),
        torch.tensor([new[row] for row in of_row if row in new], device=device),
        batch.row_ids[torch.tensor(rows, device=device)],
        languages=tuple(batch.languages[row] for row in rows) if batch.languages else None,
    )
    part.host_lengths = lengths
    return part, places


def _row_of_sequences(batch: Batch) -> list[int]:
    """Of each sequence; most rows are one, and then nothing waits for the device."""
    count = len(batch.row_ids)
    return list(range(count)) if len(batch.host_lengths) == count else batch.sequence_row.tolist()


def _row_lengths(batch: Batch) -> list[int]:
    lengths = [0] * len(batch.row_ids)
    for row, length in zip(_row_of_sequences(batch), batch.host_lengths, strict=True):
        lengths[row] += length
    return lengths


def _top_layers(encoder: PreTrainedModel, index: BranchIndex) -> list[str]:
    """The names of the layers that stand once for each language, from the lowest."""
    last = encoder.config.num_hidden_layers
    return [kind_of(encoder.config).every_layer.replace("*", str(at)) for at in range(last - index.layers, last)]


@contextmanager
def _replace_layers(encoder: nn.Module, parts: Mapping[str, nn.Module | None]) -> Iterator[None]:
    """Inside, `parts` are in `encoder` under these names; None: nothing."""
    before = {name: encoder.get_submodule(name) for name in parts}

    def put(some: Mapping[str, nn.Module | None]) -> None:
        for name, part in some.items():
            inside, _, last = name.rpartition(".")
            setattr(encoder.get_submodule(inside), last, part)

    put(parts)
    try:
        yield
    finally:
        put(before)


def _gather_module(module: nn.Module) -> Any:
    """Inside, the parameters of a module are there, which at ZeRO 3 are on several ranks."""
    if not (parted := [parameter for parameter in module.parameters() if hasattr(parameter, "ds_id")]):
        return nullcontext()
    import deepspeed  # there already, where weights are on several ranks

    return deepspeed.zero.GatheredParameters(parted)
