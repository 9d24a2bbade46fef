"""A model made of the weights of others: `start + sum of weight · (model − minus)`, as the section `merge` says it.

Numbers are added in fp64, one tensor at a time, and rounded to what the start holds; files keep the start's names and order,
so that with nothing added the result is the start to the bit. A head that the start and a model (and `minus`, where one is
named) hold is merged as the encoder is; one that the start lacks is taken over from the first model of positive weight that
has it; every other head stays the start's.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from xdist.config import Model as ModelSection
from xdist.config.merge import Merge, Swapped
from xdist.data.adapters import adapter_in
from xdist.data.branches import branches_in
from xdist.data.fetched import model_digest
from xdist.data.heads import HEADS_INDEX, heads_in
from xdist.data.syntax import syntax_in
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.files import Digests, write_json, written_folder
from xdist.model.backbone import load_config
from xdist.model.encoder import check_finite, load_encoder
from xdist.model.folder import HEADS, save_model
from xdist.model.kinds import kind_of
from xdist.model.layers import depth_of, has_numbered_layers
from xdist.model.lineage import FILE as LINEAGE
from xdist.model.lineage import dump_lineage, join_lineages, read_lineage
from xdist.model.model import Model
from xdist.version import __version__

MANIFEST = "merged.json"
_OF_HEADS = "heads."


@dataclass(frozen=True)
class FolderWeights:
    """The tensors of a model folder of ours, each read when it is requested; those of heads as `heads.<head>.<parameter>`."""

    place: str
    folder: Path

    @cached_property
    def files(self) -> dict[str, Path]:
        """Where each tensor is."""
        files: dict[str, Path] = {}
        for file in [*sorted(self.folder.glob("model*.safetensors")), self.folder / HEADS]:
            with safe_open(file, "pt") as shard:
                files |= {_prefix(file) + name: file for name in shard.keys()}  # noqa: SIM118
        return files

    def get(self, name: str, like: Tensor) -> Tensor:
        """Raises UserError where it has another shape than `like`, or is missing."""
        file = self.files.get(name)
        if file is None:
            raise UserError(f"{self.place}: holds no weight '{name}'; only models of one kind and size can be merged")
        with safe_open(file, "pt") as shard:
            value: Tensor = shard.get_tensor(name.removeprefix(_prefix(file)))
        if value.shape != like.shape:
            raise UserError(f"{self.place}: '{name}' is {tuple(value.shape)}, in the start {tuple(like.shape)}")
        check_finite(self.place, {name: value})
        return value


@dataclass(frozen=True, slots=True)
class Added:
    """A model with its weight, and what is taken off it; None: the start."""

    model: FolderWeights
    weight: float
    minus: FolderWeights | None

    def onto(self, name: str, total: Tensor, start: Tensor) -> Tensor:
        """`total` and this model's part of the weight `name`."""
        minus = self.minus.get(name, start) if self.minus else start
        return total + self.weight * (self.model.get(name, start).double() - minus.double())


def merge(start: str, recipe: Merge, out: Path) -> None:
    """Write the model that `recipe`, whose models all have places, makes of `start` as the folder `out`: next to its weights
    what it was trained on, which is what any of them was trained on, and merged.json: how it was made. A folder of that name is
    replaced. Raises UserError for models that do not fit each other."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:

        def ours(place: str) -> FolderWeights:
            return FolderWeights(place, _ours(place, Path(tempfile.mkdtemp(dir=temporary))))

        base = ours(start)
        minus = ours(recipe.minus) if recipe.minus and any(recipe.weights) else None
        models = [ingredient.model or "" for ingredient in recipe.models]
        added = [Added(ours(place), weight, minus) for place, weight in zip(models, recipe.weights, strict=True) if weight]
        _check_branches([base, *(ingredient.model for ingredient in added), *([minus] if minus else [])])
        chosen = _chosen(base.folder, recipe.layers)
        with written_folder(out) as folder:
            shutil.copytree(
                base.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors", MANIFEST, LINEAGE)
            )
            for file in dict.fromkeys([*base.files.values(), base.folder / HEADS]):
                _write(file, folder / file.name, base, added, chosen)
            if recipe.layers is None:
                _take_heads(base, added, folder)
            write_json(folder / LINEAGE, dump_lineage(join_lineages([read_lineage(place) for place in (start, *recipe.used)])))
            write_json(folder / MANIFEST, _manifest(start, recipe))


def _check_branches(models: Sequence[FolderWeights]) -> None:
    """Raises UserError for models with other branches than the start, whose weights would be lost."""
    start, *other_models = models
    for model in other_models:
        if branches_in(model.folder) != branches_in(start.folder):
            raise UserError(f"{model.place}: has not the same branches as the start, {start.place} (branches.json)")


def _write(file: Path, to: Path, base: FolderWeights, added: Sequence[Added], chosen: Callable[[str], bool]) -> None:
    with safe_open(file, "pt") as shard:
        metadata = shard.metadata()
        values = {name: shard.get_tensor(name) for name in shard.keys()}  # noqa: SIM118
    for name, start in values.items():
        key = _prefix(file) + name
        parts = [part for part in added if chosen(key) and start.is_floating_point() and _has(part, key)]
        if parts:
            total = start.double()
            for part in parts:
                total = part.onto(key, total, start)
            values[name] = total.to(start.dtype)
    check_finite(to, values)
    save_file(values, to, metadata)


def _has(added: Added, key: str) -> bool:
    """Raises where a model lacks a weight of the encoder; a head may be missing, also in the model that is subtracted."""
    return not key.startswith(_OF_HEADS) or all(key in part.files for part in (added.model, added.minus) if part)


def _take_heads(base: FolderWeights, added: Sequence[Added], folder: Path) -> None:
    """Heads that the start lacks."""
    index: dict[str, Any] = dict(heads_in(base.folder))
    taken: dict[str, Tensor] = {}
    for part in added:
        for head, entry in heads_in(part.model.folder).items():
            if head in index and index[head] != entry:
                raise UserError(f"{part.model.place}: its head '{head}' is of another family or has other labels")
            if head in index or part.weight < 0:
                continue
            index[head] = entry
            with safe_open(part.model.folder / HEADS, "pt") as shard:
                own = [name for name in shard.keys() if name.startswith(f"{head}.")]  # noqa: SIM118
                taken |= {name: shard.get_tensor(name) for name in own}
    if taken:
        with safe_open(folder / HEADS, "pt") as shard:
            tensors = {name: shard.get_tensor(name) for name in shard.keys()}  # noqa: SIM118
        save_file({**tensors, **taken}, folder / HEADS)
        write_json(folder / HEADS_INDEX, index)


def _chosen(folder: Path, layers: Swapped | None) -> Callable[[str], bool]:
    """Which weights change, by name. Raises UserError where layers cannot be distinguished, or there are fewer."""
    if layers is None:
        return lambda name: True
    config = load_config(str(folder))
    kind, number = kind_of(config), config.num_hidden_layers
    if not has_numbered_layers(kind):
        raise UserError(f"merge.layers: the layers of encoders of type '{config.model_type}' share their weights")
    if max(layers.bottom, layers.top) > number:
        raise UserError(f"merge.layers: {max(layers.bottom, layers.top)} layers, and the encoder has {number}")
    changed = {*range(1, layers.bottom + 1), *range(number - layers.top + 1, number + 1), *([0] if layers.embeddings else [])}
    return lambda name: not name.startswith(_OF_HEADS) and depth_of(name, kind) in changed


def _prefix(file: Path) -> str:
    return _OF_HEADS if file.name == HEADS else ""


def _ours(place: str, temporary: Path) -> Path:
    """A folder with the weights of `place` under our names: itself, or a copy of what is not ours without its heads."""
    if syntax_in(place):
        raise UserError(f"{place}: reads dependency trees in each layer, and is not merged")
    ours = (Path(place) / HEADS_INDEX).is_file() and (Path(place) / HEADS).is_file()
    if ours and adapter_in(place) is None:
        return Path(place)
    tokenizer = load_tokenizer(place)
    model = Model(load_encoder(ModelSection(backbone=place), tokenizer, torch.float32), {}, 0)
    save_model(temporary / "model", model, dict(model.state_dict()), tokenizer)
    if ours:  # an adapter, now merged into the model below it
        for name in (HEADS_INDEX, HEADS):
            shutil.copyfile(Path(place) / name, temporary / "model" / name)
    return temporary / "model"


def _manifest(start: str, recipe: Merge) -> dict[str, Any]:
    digests = Digests()
    models = [
        {"model": ingredient.model, "weight": weight, "digest": model_digest(ingredient.model or "", digests)}
        for ingredient, weight in zip(recipe.models, recipe.weights, strict=True)
    ]
    return {
        "made_by": f"xdist {__version__}",
        "formula": "start + sum of weight * (model - minus)",
        "start": {"model": start, "digest": model_digest(start, digests)},
        "models": models,
        "minus": {"model": recipe.minus, "digest": model_digest(recipe.minus, digests)} if recipe.minus else "start",
        "layers": recipe.layers.model_dump() if recipe.layers else "all",
    }
