"""A line on a score to paste into a paper: it names what the score was computed from, so that others can check whether their
files are the same."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from xdist.config import recorded_run
from xdist.errors import UserError
from xdist.files import digest
from xdist.run.folder import RunFolder
from xdist.run.recorded import MAPPING, recorded_json, recorded_scores


def signatures(run: Path) -> dict[str, str]:
    """By task the line on its mean score, without a seed where config.yaml is not as xdist writes it; empty where nothing is
    scored. Raises DamagedError for scores and versions that cannot be read."""
    folder = RunFolder(run)
    if not folder.scores.is_file():
        return {}
    about: dict[str, Any] = {}
    if folder.config.is_file():
        with suppress(UserError):
            about["seed"] = recorded_run(folder.config).seed
    if folder.environment.is_file():
        about["xdist"] = recorded_json(folder.environment, MAPPING).get("xdist")
    return {
        name: signature(name, entry, about) for name, entry in recorded_scores(folder.scores)["tasks"].items() if entry["mean"]
    }


def signature(task: str, entry: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """`key:value` joined by "|", of an entry of scores.json. `gold` and `predictions` are digests over all languages, `model`
    is that of its weights and `options` that of its options: for predictions of other programs they are not known, and an
    earlier version of xdist did not keep them."""
    scored = [code for code, numbers in entry["languages"].items() if entry["metric"] in numbers]
    said: dict[str, Any] = {
        "task": task,
        "metric": entry["metric"],
        "by": entry.get("scored_by"),
        "split": entry["split"],
        "languages": "+".join(scored) if len(scored) <= 3 else len(scored),
        "examples": sum(int(entry["languages"][code]["count"]) for code in scored),
    }
    made = entry.get("made_of") or {}
    pieces = [made.get("pieces", {}).get(f"{entry['split']} {code}") for code in sorted(scored)]
    if made and all(pieces):
        for key, kept in (("gold", "files"), ("predictions", "predictions")):
            said[key] = digest(*(piece[kept] for piece in pieces))
    said["model"] = made.get("model")
    options = {**made.get("options", {}), "layer": entry.get("layer"), "smoothing": entry.get("smoothing")}
    said["options"] = digest(options) if "model" in made else None
    return "|".join(f"{key}:{value}" for key, value in {**said, **about}.items() if value is not None)
