"""What is known of an encoder and its tokenizer from their configuration files alone: no weights, and no torch."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from xdist.config import Model
from xdist.data.adapters import root_of
from xdist.data.fetched import check_package, may_be_hub_id
from xdist.data.heads import heads_in
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.formats.lines import read_json
from xdist.languages import NOBODY_KNOWS, Pretraining, code_among
from xdist.languages import find_language as known_language
from xdist.languages.encoders import read_by, read_by_name
from xdist.languages.pretraining import find_list, recorded_list
from xdist.model.admission import check_files, check_values
from xdist.model.kinds import KINDS, EncoderKind, check_kind
from xdist.model.lineage import read_lineage


@dataclass(frozen=True, slots=True)
class Encoder:
    """`positions`: tokens of the longest sequence, special tokens included; None where the kind has no such bound. `languages`:
    those that it distinguishes; None for an encoder that does not get the language of a text. `heads`: those that are in
    addition to the encoder, by name: (family, labels)."""

    place: str
    kind: str
    layers: int
    rows: int
    positions: int | None
    languages: frozenset[str] | None
    heads: Mapping[str, tuple[str, tuple[str, ...]]]

    @property
    def described(self) -> EncoderKind:
        return KINDS[self.kind]


def read_encoder(place: str) -> Encoder | None:
    """The facts of a model folder, or of a hub id whose files are in the hub's cache; None for a hub id that is not here.
    Raises UserError for what is no model folder, and for a tokenizer and an embedding that do not belong together."""
    folder = Path(place)
    if not folder.is_dir():
        config = _cached(place, "config.json")
        if config is None:
            return None
        folder = config.parent
    path = folder / "config.json"
    if not path.is_file():
        check_files(folder)
    values = read_json(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: names no model_type")
    kind = check_kind(place, values)
    if Path(place).is_dir():
        check_files(folder)
    below = Path(root_of(str(folder))[0])
    check_values(place, values, below if below.is_dir() else None)
    # Names of XLM and DistilBERT in addition to the usual ones.
    layers = _number(values, path, "num_hidden_layers", "n_layers")
    rows = _number(values, path, "vocab_size", "n_words")
    heads = {name: (entry["family"], tuple(entry["labels"])) for name, entry in heads_in(folder).items()}
    languages = _languages(values) if kind.languages else None
    encoder = Encoder(place, values["model_type"], layers, rows, _positions(values, kind), languages, heads)
    if not (folder / "tokenizer.json").is_file():
        check_package(place, encoder.kind)
    largest = _largest_id(folder / "tokenizer.json")
    if largest is not None and largest >= rows:
        raise UserError(f"{place}: the tokenizer's ids reach {largest}, the encoder's embedding has {rows} rows")
    return encoder


def revision_of(place: str) -> int:
    """That of the kind of encoder at `place`; 0 where none can be found, which does not matter to the caller."""
    try:
        return KINDS[_configuration(place)["model_type"]].revision
    except (LookupError, TypeError):
        return 0


def what_was_read(model: Model, place: str) -> Pretraining:
    """What the encoder at `place` has read: as the section `model` says, else an earlier training of it, else its configuration
    or, of one that is not here, its name. Raises UserError for a list that is none."""
    if model.pretraining is not None:
        try:
            return find_list(model.pretraining)
        except UserError as error:
            raise model.error(("pretraining",), str(error)) from None
    records = [stage.pretraining for stage in read_lineage(place) if stage.pretraining is not None]
    return recorded_list(records[-1]) if records else pretraining_of(place)


def pretraining_of(place: str) -> Pretraining:
    """What the encoder at `place` has read, by its configuration; of one that is not found, by its name."""
    if not (values := _configuration(place)):
        return read_by_name(place)
    try:
        taught = [code for code in values.get("lang2id") or () if known_language(code)]
        return read_by(values["model_type"], _number(values, Path(place), "vocab_size", "n_words"), taught)
    except (LookupError, TypeError, UserError):
        return NOBODY_KNOWS


def _configuration(place: str) -> dict[str, Any]:
    """The values of config.json; empty where there is none to be seen, or none that can be read."""
    config: Path | None = Path(place, "config.json")
    if not Path(place).is_dir():
        config = _cached(place, "config.json") if may_be_hub_id(place) else None
    try:
        values = json.loads(config.read_bytes()) if config else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def check_recomputing(section: Model, kind: str) -> None:
    """Raises UserError where layers are to be computed again in the backward pass, and those of this kind cannot."""
    if section.gradient_checkpointing is True and not KINDS[kind].checkpointing:
        message = f"encoders of type '{kind}' cannot compute their layers again; leave it out"
        raise section.error(("gradient_checkpointing",), message)


def check_subsets(encoder: Encoder, used: Iterable[Subset]) -> None:
    """Raises UserError for one that an encoder of this kind cannot be trained or scored on."""
    for subset in used:
        task = subset.task
        if reason := encoder.described.without.get(task.family):
            raise UserError(f"{encoder.place}: no {task.family} ('{task.name}') with '{encoder.kind}': {reason}")
        if encoder.languages is None:
            continue
        for language in task.written_in(subset.language):
            if code_among(tuple(sorted(encoder.languages)), language) is None:
                names = ", ".join(sorted(encoder.languages))
                raise UserError(f"{encoder.place}: was not trained on '{language}' ({subset}), but {names}")
        if task.mixes(subset.language):
            raise UserError(f"{encoder.place}: gets the language of each text as input, and rows of '{task.name}' may have two")


def _number(values: Mapping[str, Any], path: Path, *names: str) -> int:
    for name in names:
        if isinstance(value := values.get(name), int) and not isinstance(value, bool) and value > 0:
            return value
    raise UserError(f"{path}: {names[0]} is {values.get(names[0], 'missing')!r}: expected an integer above 0")


def _languages(values: Mapping[str, Any]) -> frozenset[str] | None:
    has_languages = values.get("use_lang_emb", True) and values.get("n_langs", 1) > 1
    return frozenset(values.get("lang2id", ())) if has_languages else None


def _positions(values: Mapping[str, Any], kind: EncoderKind) -> int | None:
    most = values.get("max_position_embeddings")
    if not isinstance(most, int) or values.get("position_biased_input") is False:  # only relative distances
        return None
    if kind.positions == "after padding":
        return most - 1 - int(values.get("pad_token_id") or 0)
    return most


@lru_cache
def _ids_of(path: Path, _stamp: tuple[int, int]) -> int | None:
    try:
        values = json.loads(path.read_bytes())
        vocabulary = values["model"]["vocab"]
        added = [int(token["id"]) for token in values.get("added_tokens", [])]
        most = max(vocabulary.values()) if isinstance(vocabulary, dict) else len(vocabulary) - 1
        return max([most, *added])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # what is no tokenizer is said where it is loaded


def _largest_id(path: Path) -> int | None:
    if not path.is_file():
        return None
    status = path.stat()
    return _ids_of(path, (status.st_size, status.st_mtime_ns))


def _cached(place: str, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(place, name)
    return Path(cached) if isinstance(cached, str) else None
