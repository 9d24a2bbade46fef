"""A folder of maps of languages to English: what it is called, and what it was fitted on. Needs no torch."""

from pathlib import Path
from typing import Any

from xdist.errors import UserError
from xdist.files import digest, file_digest, read_json

MAPS, FACTS = "alignment.safetensors", "alignment.json"


def maps_digest(folder: Path) -> str:
    """A digest of the maps in `folder`. Raises UserError where there are none."""
    facts_of(folder)
    return digest([file_digest(folder / name) for name in (MAPS, FACTS)])


def facts_of(folder: Path) -> dict[str, Any]:
    """What the maps in `folder` are and were fitted on: layer, method, by language the pairs. Raises UserError where there are
    none."""
    if not (folder / FACTS).is_file() or not (folder / MAPS).is_file():
        what = "holds no maps of languages (alignment.json); `xdist align` makes them" if folder.is_dir() else "no such folder"
        raise UserError(f"{folder}: {what}")
    facts = read_json(folder / FACTS)
    if not isinstance(facts, dict) or not isinstance(facts.get("layer"), int) or not isinstance(facts.get("languages"), dict):
        raise UserError(f"{folder / FACTS}: is not what `xdist align` writes")
    return facts
