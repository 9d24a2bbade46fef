"""The reader of trees of a model folder, from and to its files (xdist/data/syntax.py)."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from xdist.config.syntax import Syntax
from xdist.data.syntax import INDEX, WEIGHTS, describe_syntax, syntax_in
from xdist.errors import UserError
from xdist.files import write_json
from xdist.model.syntax.attached import NAME, attach_reader, reader_of


def join_reader(encoder: PreTrainedModel, place: str, asked: Syntax | None, seed: int | None) -> None:
    """Give `encoder` the reader of trees that the model folder at `place` has, or else, where one is `asked` for and a `seed`
    given, a new one, to be trained. Raises UserError for weights that do not fit."""
    there = syntax_in(place)
    if there is not None:
        dropout = asked.dropout if asked else there.dropout
        reader = attach_reader(encoder, there.model_copy(update={"dropout": dropout}), 0)
        reader.load_state_dict(_weights(Path(place) / WEIGHTS, reader.state_dict()))
    elif asked is not None and asked.read and seed is not None:
        attach_reader(encoder, asked, seed)


def _weights(file: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    try:
        found = load_file(file)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{file}: cannot be read: {str(error).strip().splitlines()[0]}") from None
    if odd := sorted(found.keys() ^ expected.keys()):
        raise UserError(f"{file}: '{odd[0]}' is missing or superfluous")
    for name, value in found.items():
        if value.shape != expected[name].shape:
            raise UserError(
                f"{file}: the weight '{name}' is {tuple(value.shape)}, where {INDEX} requests {tuple(expected[name].shape)}"
            )
        if not bool(torch.isfinite(value).all()):
            raise UserError(f"{file}: the weight '{name}' holds numbers that are not finite")
    return found


def write_reader(folder: Path, encoder: PreTrainedModel, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Write into `folder` the reader of trees that `encoder` has, with the weights that `state` has of it; the rest of
    `state`."""
    own = f"{NAME}."
    of_reader = {name.removeprefix(own): value.contiguous() for name, value in state.items() if name.startswith(own)}
    if (reader := reader_of(encoder)) is not None:
        write_json(folder / INDEX, describe_syntax(reader.section))
        save_file(of_reader, folder / WEIGHTS)
        return {name: value for name, value in state.items() if not name.startswith(own)}
    return dict(state)
