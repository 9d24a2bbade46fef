"""Maps of languages to English, fitted on the model that is evaluated: sums of each rank, summed over ranks; their folder."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from xdist.config.align import Align
from xdist.data.aligned import FACTS, MAPS, facts_of
from xdist.data.batches import collate, row_id
from xdist.data.prepare import Preparation
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.evaluation.queue import queue, share
from xdist.files import Digests, digest, write_json, written_folder
from xdist.model.alignment import Alignment, ClosedForm, LanguageMap, PairSums, check_maps, fit
from xdist.model.model import Model
from xdist.run import distributed
from xdist.tasks.family import family_of
from xdist.tasks.parallel import means, sides


@dataclass(frozen=True, slots=True)
class Ranks:
    """Who shares the work: this rank, of how many; `lockstep`: all make equally many forward passes; `total` sums a tensor over
    them in place; `first` gives all of them what a function returns on rank 0."""

    rank: int = 0
    world: int = 1
    lockstep: bool = False
    total: Callable[[Tensor], None] = lambda tensor: None
    first: Callable[[Callable[[], LanguageMap]], LanguageMap] = lambda function: function()


def fitted(
    model: Model,
    preparation: Preparation,
    subsets: Sequence[Subset],
    method: ClosedForm,
    layer: int,
    budget: int,
    ranks: Ranks,
) -> Alignment:
    """The maps of the languages of `subsets`, prepared parallel text, at hidden `layer` of a model without any; `budget`:
    tokens of a forward pass. Collective over the ranks. Raises UserError for a layer that cannot be mapped."""
    check_maps(model.encoder, layer)
    maps: dict[str, LanguageMap] = {}
    for language in dict.fromkeys(subset.language for subset in subsets):
        began = time.monotonic()
        sums = _sums(model, preparation, [one for one in subsets if one.language == language], layer, budget, ranks)
        ranks.total(sums.values)
        found = ranks.first(lambda sums=sums: fit(sums, method))  # type: ignore[misc]
        facts = {**found.facts, "seconds": round(time.monotonic() - began, 3)}
        maps[language] = LanguageMap(found.before, found.after, found.matrix, facts)
    return Alignment(layer, maps)


@torch.no_grad()
def _sums(model: Model, preparation: Preparation, subsets: Sequence[Subset], layer: int, budget: int, ranks: Ranks) -> PairSums:
    """Those of this rank's share of the pairs."""
    device = distributed.device()
    sums = PairSums(model.width, device)
    for subset, rows in zip(subsets, preparation.shards(subsets), strict=True):
        family = family_of(subset.task)
        for item in share(queue([rows], budget, model.packed), ranks.rank, ranks.world, ranks.lockstep):
            drawn = [rows.row(row) for _, row in item.rows]
            batch = collate(drawn, [row_id(0, row) for _, row in item.rows], family, languages=[subset.language] * len(drawn))
            batch = batch.to(device)
            vectors = means(model.hidden(batch, layer), batch)
            if not item.dummy:
                sums.add(*sides(vectors))
    return sums


def made_of(model: str, section: Align, subsets: Sequence[Subset], preparation: Preparation, layer: int) -> str:
    """A digest of all that decides on the maps: `model` is the digest of what they are fitted on."""
    return digest(model, section.method, layer, preparation.fingerprints(subsets))


def write_alignment(folder: Path, alignment: Alignment, facts: Mapping[str, Any]) -> None:
    """Write the maps and, as JSON, `facts` and what is known of each language."""
    tensors: dict[str, Tensor] = {}
    for language, one in alignment.maps.items():
        tensors |= {f"{language}.before": one.before.cpu().contiguous(), f"{language}.after": one.after.cpu().contiguous()}
        if one.matrix is not None:
            tensors[f"{language}.matrix"] = one.matrix.cpu().contiguous()
    with written_folder(folder) as temporary:
        save_file(tensors, temporary / MAPS)
        languages = {language: dict(one.facts) for language, one in alignment.maps.items()}
        write_json(temporary / FACTS, {**facts, "layer": alignment.layer, "languages": languages})


def read_alignment(folder: Path, strength: float = 1.0) -> Alignment:
    """The maps in `folder`. Raises UserError where there are none, or they are damaged."""
    facts = facts_of(folder)
    try:
        tensors = load_file(folder / MAPS)
        maps = {
            language: LanguageMap(
                tensors[f"{language}.before"], tensors[f"{language}.after"], tensors.get(f"{language}.matrix"), told
            )
            for language, told in facts["languages"].items()
        }
    except (OSError, ValueError, KeyError, SafetensorError):
        raise UserError(f"{folder / MAPS}: is damaged, or not what belongs to {folder / FACTS}") from None
    return Alignment(facts["layer"], maps, strength)


def check_width(folder: Path, alignment: Alignment, model: Model) -> None:
    """Raises UserError for maps of another width than the model's, or at a layer that it has not."""
    for one in alignment.maps.values():
        if len(one.before) != model.width:
            raise UserError(f"{folder}: maps states of width {len(one.before)}, those of the model have {model.width}")
    check_maps(model.encoder, alignment.layer)


def kept_alignment(folder: Path, made: str, predictions: Path) -> bool:
    """Whether `folder` holds the maps that would be fitted, told by `made`. Raises UserError where it holds others, by which
    something is predicted already."""
    if not (folder / FACTS).is_file():
        return False
    if facts_of(folder).get("made_of") == made:
        return True
    if predictions.is_dir() and any(path for path in predictions.iterdir() if not path.name.startswith(".")):
        raise UserError(
            f"{folder}: was fitted on another model or other text than there is now; choose another folder (folder=…), or "
            f"remove it and {predictions} to predict anew"
        )
    return False


def file_digests(subsets: Sequence[Subset], root: Path) -> dict[str, str]:
    """By name, what is fitted on, for whoever reads of it."""
    digests = Digests()
    return {
        str(subset): digest([digests.of(path) for path in subset.task.paths(root, subset.split, subset.language)])
        for subset in subsets
    }
