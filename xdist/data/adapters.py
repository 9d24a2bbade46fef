"""A model folder that holds an adapter and no encoder: the model below it, and what its files say. Needs no torch.

In addition to config.json, tokenizer and heads of any model folder of ours there are:

adapter.json                 kind, options, and the place and digest of the model below, which is not copied
adapter_config.json          of LoRA, as PEFT writes and reads it; what PEFT itself saved has this and the next file alone
adapter_model.safetensors    of LoRA: `base_model.model.<matrix>.lora_A.weight` (rank, in), `….lora_B.weight` (out, rank)
bottleneck.safetensors       of bottleneck adapters: `<norm or layer>.down.weight` (rank, d), …
languages/<code>/            adapter.json and weights of the language adapters that it was trained above
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xdist.errors import UserError
from xdist.files import Digests, digest, read_json

INDEX, PEFT_CONFIG, PEFT_WEIGHTS, BOTTLENECK = (
    "adapter.json",
    "adapter_config.json",
    "adapter_model.safetensors",
    "bottleneck.safetensors",
)
LANGUAGES = "languages"
BELOW = "backbone"  # the key of adapter.json that names the model below it: no part of what the folder computes


@dataclass(frozen=True, slots=True)
class AdapterFolder:
    """`below`: the place of the model below it, '' where none is named; `below_digest`: what that was then, None where
    it is not known. `options`: the other keys of adapter.json; `saved_modules`: whether PEFT saved more than LoRA, as a
    head."""

    folder: Path
    kind: str
    below: str
    below_digest: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    saved_modules: bool = False

    @property
    def weights(self) -> Path:
        return self.folder / (PEFT_WEIGHTS if self.kind == "lora" else BOTTLENECK)

    @property
    def empty(self) -> bool:
        """Whether its rank is 0, so that it adds nothing."""
        return self.options.get("rank") == 0

    @property
    def languages(self) -> dict[str, Path]:
        """The folders of the language adapters below it."""
        return {path.name: path for path in sorted((self.folder / LANGUAGES).glob("*/")) if (path / INDEX).is_file()}


def adapter_in(place: str | Path) -> AdapterFolder | None:
    """What a folder says of the adapter that it holds; None for a folder, or a hub id, that holds none. Raises UserError for
    files that no writer of them would write."""
    folder = Path(place)
    if (folder / INDEX).is_file():
        values = _object(folder / INDEX)
        kind, below, then = values.get("kind"), values.get(BELOW), values.get("digest")
        if kind not in ("lora", "bottleneck") or not isinstance(below, str) or not isinstance(then, str | None):
            raise UserError(f"{folder / INDEX}: is not what xdist writes for an adapter")
        return AdapterFolder(folder, kind, below, then, values)
    if (folder / PEFT_CONFIG).is_file():
        values = _object(folder / PEFT_CONFIG)
        if (kind := values.get("peft_type")) != "LORA":
            raise UserError(f"{folder / PEFT_CONFIG}: peft_type is {kind!r:.40}; of PEFT's adapters LORA is read")
        saved = bool(values.get("modules_to_save"))
        return AdapterFolder(folder, "lora", str(values.get("base_model_name_or_path") or ""), saved_modules=saved)
    return None


def root_of(place: str) -> tuple[str, tuple[AdapterFolder, ...]]:
    """The place of the encoder below everything, and the adapters above it from the lowest to the one in `place`. Raises
    UserError for one whose model below is not where it was."""
    folders: list[AdapterFolder] = []
    while (adapter := adapter_in(place)) is not None:
        if adapter.folder in [below.folder for below in folders]:
            raise UserError(f"{adapter.folder}: is based on itself ({INDEX}: {BELOW})")
        folders.append(adapter)
        if adapter.below.startswith("/") and not Path(adapter.below).is_dir():
            raise UserError(f"{adapter.folder}: the model that it is based on does not exist any more: {adapter.below}")
        place = adapter.below
    return place, tuple(reversed(folders))


def adapter_digest(folder: Path, digests: Digests) -> str | None:
    """Of what the adapter in a folder computes on the model below it, at any path; None where there is none."""
    adapter = adapter_in(folder)
    if adapter is None:
        return None
    options = {key: value for key, value in adapter.options.items() if key != BELOW}
    files = [] if options else [digests.of(folder / PEFT_CONFIG)]
    of_languages = {code: adapter_digest(path, digests) for code, path in adapter.languages.items()}
    return digest(options, files, digests.of(adapter.weights), of_languages)


def folders_in(section: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """(key, folder) of every adapter that a section `model.adapter` reads."""
    if section.folder is not None:
        yield ("folder",), section.folder
    for code, entry in section.languages.items():
        if entry.model is not None:
            yield ("languages", code, "model"), entry.model


def _object(path: Path) -> dict[str, Any]:
    values = read_json(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a JSON object")
    return values
