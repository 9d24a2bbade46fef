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
from xdist.data.batches import Linker, collate, row_id
from xdist.data.prepare import Preparation
from xdist.data.shards import Rows
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.evaluation.queue import batch_queue, rank_share
from xdist.files import Digests, digest, file_digest, write_json, written_folder
from xdist.languages import identity
from xdist.model.alignment import Alignment, ClosedForm, LanguageMap, PairSums, check_maps, fit_map
from xdist.model.model import Model
from xdist.robust.word_links import DictionaryLinks
from xdist.run import distributed
from xdist.tasks.family import Family, Row, family_of
from xdist.tasks.parallel import LINKS, means, sides, span_sums, word_means


@dataclass(frozen=True, slots=True)
class Ranks:
    """Who shares the work: this rank, of how many; `lockstep`: all make equally many forward passes; `total` sums a tensor over
    them in place; `first` gives all of them what a function returns on rank 0."""

    rank: int = 0
    world: int = 1
    lockstep: bool = False
    total: Callable[[Tensor], None] = lambda tensor: None
    first: Callable[[Callable[[], LanguageMap]], LanguageMap] = lambda function: function()


def fit_maps(
    model: Model,
    preparation: Preparation,
    subsets: Sequence[Subset],
    method: ClosedForm,
    layer: int,
    budget: int,
    ranks: Ranks,
    linker: Linker | None = None,
) -> Alignment:
    """The maps of the languages of `subsets`, prepared parallel text, at hidden `layer` of a model without any; `budget`:
    tokens of a forward pass; `linker`: fit on words, not on sentences. Collective over the ranks. Raises UserError for a layer
    that cannot be mapped."""
    check_maps(model.encoder, layer)
    maps: dict[str, LanguageMap] = {}
    by_language: dict[str, list[Subset]] = {}
    for subset in subsets:
        by_language.setdefault(identity(subset.language), []).append(subset)
    for of_language in by_language.values():
        began, language = time.monotonic(), of_language[0].language
        sums = PairSums(model.width, distributed.device())
        table = None
        if isinstance(linker, DictionaryLinks):
            table = WordTable(linker, language, model.width, distributed.device())
        for subset, rows in zip(of_language, preparation.shards(of_language), strict=True):
            _add(sums, table or linker, model, subset, rows, layer, budget, ranks)
        if table:
            ranks.total(table.values)
            if ranks.rank == 0:
                sums.add(*table.pairs())
        ranks.total(sums.values)
        found = ranks.first(lambda sums=sums: fit_map(sums, method))  # type: ignore[misc]
        facts = {**found.facts, "seconds": round(time.monotonic() - began, 3)}
        maps[language] = LanguageMap(found.before, found.after, found.matrix, facts)
    return Alignment(layer, maps)


@torch.no_grad()
def _add(
    sums: PairSums,
    words: "WordTable | Linker | None",
    model: Model,
    subset: Subset,
    rows: Rows,
    layer: int,
    budget: int,
    ranks: Ranks,
) -> None:
    """This rank's share of the pairs of a subset: of its sentences, or of its words."""
    family = family_of(subset.task)
    for item in rank_share(batch_queue([rows], budget, model.packed), ranks.rank, ranks.world, ranks.lockstep):
        drawn = [rows.row(row) for _, row in item.rows]
        if words is not None and not isinstance(words, WordTable):
            drawn = [{**row, LINKS: words(row, family, subset.language)} for row in drawn]
        batch = collate(drawn, [row_id(0, row) for _, row in item.rows], family, languages=[subset.language] * len(drawn))
        batch = batch.to(distributed.device())
        states = model.hidden(batch, layer)
        if item.dummy:
            continue
        if isinstance(words, WordTable):
            words.add(drawn, family, states)
        elif words is not None:
            sums.add(*word_means(states, batch.targets[LINKS]).chunk(2))
        else:
            sums.add(*sides(means(states, batch)))


class WordTable:
    """Of the words of a dictionary the sum of their vectors (d,) over all their occurrences, and how many those are; a
    word's vector is the mean of its pieces'."""

    def __init__(self, links: DictionaryLinks, language: str, width: int, device: torch.device) -> None:
        self._links, self._entries = links, links.entries(language)
        self._number: tuple[dict[str, int], ...] = ({}, {})  # of a foreign word, and of an English one
        for entry in self._entries:
            for numbers, word in zip(self._number, entry, strict=True):
                numbers.setdefault(word, sum(map(len, self._number)))
        self.values = torch.zeros(sum(map(len, self._number)), width + 1, dtype=torch.float64, device=device)

    def add(self, rows: Sequence[Row], family: Family, states: Tensor) -> None:
        """The words of `rows`, whose tokens have these states (T, d)."""
        spans, numbers, begin = list[tuple[int, int]](), list[int](), 0
        for row in rows:
            words, written = self._links.words(row, family)
            for low, high, word in zip(words.low.tolist(), words.high.tolist(), written, strict=True):
                number = self._number[int(low >= row["lengths"][0])].get(word)
                if number is not None:
                    spans.append((begin + low, begin + high))
                    numbers.append(number)
            begin += len(row["tokens"])
        if spans:
            means = span_sums(states, torch.tensor(spans, device=states.device), mean=True).double()
            counted = torch.cat([means, means.new_ones(len(means), 1)], dim=1)
            self.values.index_add_(0, torch.tensor(numbers, device=states.device), counted)

    def pairs(self) -> tuple[Tensor, Tensor]:
        """The vectors of the entries of which both words occur: (n, d) foreign, (n, d) English."""
        counts = self.values[:, -1]
        places = [tuple(numbers[word] for numbers, word in zip(self._number, entry, strict=True)) for entry in self._entries]
        occurrences = counts.tolist()
        complete = torch.tensor([pair for pair in places if all(occurrences[place] for place in pair)], dtype=torch.long)
        vectors = self.values[:, :-1] / counts.clamp(min=1)[:, None]
        foreign, english = complete.view(-1, 2).to(vectors.device).T
        return vectors[foreign], vectors[english]


def maps_digest_of(
    model: str,
    section: Align,
    subsets: Sequence[Subset],
    preparation: Preparation,
    layer: int,
    words: Mapping[str, Path] | None = None,
) -> str:
    """A digest of all that decides on the maps: `model` is the digest of what they are fitted on, `words` the files of
    dictionaries or links."""
    word_files = [{language: file_digest(path) for language, path in words.items()}, section.links is None] if words else []
    return digest(model, section.method, layer, preparation.fingerprints(subsets), *word_files)


def write_alignment(folder: Path, alignment: Alignment, facts: Mapping[str, Any]) -> None:
    """Write the maps and, as JSON, `facts` and what is known of each language."""
    tensors: dict[str, Tensor] = {}
    for language, language_map in alignment.maps.items():
        tensors |= {
            f"{language}.before": language_map.before.cpu().contiguous(),
            f"{language}.after": language_map.after.cpu().contiguous(),
        }
        if language_map.matrix is not None:
            tensors[f"{language}.matrix"] = language_map.matrix.cpu().contiguous()
    with written_folder(folder) as temporary:
        save_file(tensors, temporary / MAPS)
        languages = {language: dict(language_map.facts) for language, language_map in alignment.maps.items()}
        write_json(temporary / FACTS, {**facts, "layer": alignment.layer, "languages": languages})


def read_alignment(folder: Path, strength: float = 1.0) -> Alignment:
    """The maps in `folder`. Raises UserError where there are none, or they are damaged."""
    facts = facts_of(folder)
    try:
        tensors = load_file(folder / MAPS)
        maps = {
            language: LanguageMap(
                tensors[f"{language}.before"], tensors[f"{language}.after"], tensors.get(f"{language}.matrix"), map_facts
            )
            for language, map_facts in facts["languages"].items()
        }
    except (OSError, ValueError, KeyError, SafetensorError):
        raise UserError(f"{folder / MAPS}: is damaged, or not what belongs to {folder / FACTS}") from None
    return Alignment(facts["layer"], maps, strength)


def check_width(folder: Path, alignment: Alignment, model: Model) -> None:
    """Raises UserError for maps of another width than the model's, or at a layer that it has not."""
    for language_map in alignment.maps.values():
        if len(language_map.before) != model.width:
            raise UserError(f"{folder}: maps states of width {len(language_map.before)}, those of the model have {model.width}")
    check_maps(model.encoder, alignment.layer)


def has_alignment(folder: Path, digest: str, predictions: Path) -> bool:
    """Whether `folder` holds the maps that would be fitted, by their `digest`. Raises UserError where it holds others, by
    which something is predicted already."""
    if not (folder / FACTS).is_file():
        return False
    if facts_of(folder).get("made_of") == digest:
        return True
    if predictions.is_dir() and any(path for path in predictions.iterdir() if not path.name.startswith(".")):
        raise UserError(
            f"{folder}: was fitted on another model or other text than there is now; choose another folder (folder=…), or "
            f"remove it and {predictions} to predict again"
        )
    return False


def file_digests(subsets: Sequence[Subset], root: Path) -> dict[str, str]:
    """By name, what is fitted on, for display."""
    digests = Digests()
    return {
        str(subset): digest([digests.of(path) for path in subset.task.paths(root, subset.split, subset.language)])
        for subset in subsets
    }
