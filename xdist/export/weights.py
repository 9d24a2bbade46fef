"""The fp32 weights of a run from any place: its model folder, its best model, a checkpoint of any stage, or a mean."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from xdist.checkpoint import tags
from xdist.checkpoint.resharding import read_saved
from xdist.checkpoint.stripped import read_stripped
from xdist.checkpoint.tags import Tag
from xdist.config import Model
from xdist.data.adapters import adapter_in
from xdist.data.syntax import syntax_in
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError, unknown
from xdist.model.adapters.attached import merge_lora
from xdist.model.encoder import load_encoder
from xdist.model.folder import read_heads
from xdist.model.vocabulary import active_rows
from xdist.private import WEIGHT
from xdist.run.folder import NOT_KEPT, RunFolder

Weights = dict[str, Tensor]  # by the name that xdist.model.Model gives them: encoder.…, heads.<head>.…


def of_model(folder: Path) -> Weights:
    """What a model folder holds; of an adapter the model that it makes of the one below it. Raises UserError."""
    if syntax_in(folder):
        raise _reads_trees(str(folder))
    if not folder.is_dir():
        raise UserError(f"{folder}: {NOT_KEPT if RunFolder(folder.parent).model_not_kept else 'not there yet'}")
    if adapter_in(folder):
        place = str(folder)
        encoder = load_encoder(Model(backbone=place), load_tokenizer(place), torch.float32)
        return _of_encoder(merge_lora(encoder)) | _of_heads(folder)
    weights = {}
    for file in sorted(folder.glob("model*.safetensors")):
        with safe_open(file, "pt") as shard:
            weights.update({f"encoder.{name}": shard.get_tensor(name) for name in shard.keys()})  # noqa: SIM118
    return weights | _of_heads(folder)


def _reads_trees(place: str) -> UserError:
    return UserError(f"{place}: reads dependency trees in each layer, which no class of transformers does: it is not exported")


def _of_encoder(state: Mapping[str, Tensor]) -> Weights:
    return {f"encoder.{name}": value for name, value in state.items()}


def _of_heads(folder: Path) -> Weights:
    return {f"heads.{name}": value for name, value in read_heads(folder).items()}


def of_tag(tag: Tag, model: Model) -> Weights:
    """What a checkpoint holds; frozen parameters are not in it and come from the backbone that `model` names. Raises UserError
    for damage."""
    if (model.syntax and model.syntax.read) or syntax_in(model.backbone):
        raise _reads_trees(str(tag.path))
    if wrong := tag.damage():
        raise UserError(f"{tag.path} is damaged: {'; '.join(wrong)}")
    if tag.has_states:
        saved = read_saved(tag)
        weights = {name: parameter.whole(WEIGHT) for name, parameter in saved.parameters.items()}
        rows = active_rows(saved.common["module"])
    else:
        weights, rows = read_stripped(tag)
    encoder = load_encoder(model, load_tokenizer(model.backbone), torch.float32, seed=0)  # weights of adapters are in the tag
    whole = _of_encoder(encoder.state_dict())
    for name, ids in rows.items():
        weights[name] = whole[name].index_copy(0, ids, weights[name])
    found = whole | weights
    of_encoder = {name.removeprefix("encoder."): found.pop(name) for name in list(found) if name.startswith("encoder.")}
    return _of_encoder(merge_lora(encoder, of_encoder)) | found


def tag_of(folder: RunFolder, step: int | None) -> Tag:
    """The checkpoint of `step`, or the newest. Raises UserError with the nearest step."""
    found = tags.list_tags(folder.checkpoints)
    if not found:
        raise UserError(f"{folder.checkpoints}: holds no checkpoint")
    if step is None:
        return found[-1]
    by_step = {tag.step: tag for tag in found}
    if step not in by_step:
        raise UserError(f"{folder.checkpoints}: {unknown('step', step, by_step)}")
    return by_step[step]


def mean_weights(many: Sequence[Mapping[str, Tensor]], names: Sequence[str]) -> Weights:
    """The mean of each weight; `names` says where each came from. Raises UserError where they do not fit each other."""
    first = many[0]
    for other, name in zip(many[1:], names[1:], strict=True):
        if other.keys() != first.keys():
            raise UserError(f"{name}: does not hold the same weights as {names[0]} ({min(other.keys() ^ first.keys())})")
        for key, value in other.items():
            if value.shape != first[key].shape:
                raise UserError(f"{name}: '{key}' is {tuple(value.shape)}, in {names[0]} {tuple(first[key].shape)}")
    if len(many) == 1:
        return dict(first)
    return {
        key: torch.stack([one[key].double() for one in many]).mean(0).to(value.dtype) if value.is_floating_point() else value
        for key, value in first.items()
    }
