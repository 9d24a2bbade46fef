"""The run that scores a model folder, from any source, without a file that describes it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from xdist.errors import UserError

ROOT = Path("download")  # where the public scripts and `xdist fetch` leave the official files
FOLDER = Path("runs/evaluate")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


def run_of_checkpoint(
    model: str,
    tasks: Sequence[str],
    *,
    root: Path = ROOT,
    languages: Sequence[str] | Literal["all"] = "all",
    split: Literal["dev", "test"] = "test",
    labels: Sequence[str] | None = None,
    out: Path | None = None,
    plugins: Sequence[str] = (),
) -> dict[str, Any]:
    """The sections of a run that scores the model in the folder `model` on `tasks`, into `out`, else into a folder named by
    both. `labels`: which label each output of its head stands for, where the model itself does not say it. `plugins`: what
    has your own tasks or metrics."""
    place = Path(model)
    said = [place.parent.name, place.name] if place.name in ("model", "best") else [place.resolve().name]
    name = re.sub(r"[^A-Za-z0-9._+]+", "-", "-".join([*said, *tasks])).lstrip("-._+") or "model"
    return {
        "name": name,
        "folder": str(out or FOLDER / name),
        **({"plugins": list(plugins)} if plugins else {}),
        "model": {"backbone": model, **({"labels": list(labels)} if labels is not None else {})},
        "data": {"root": str(root)},
        "evaluate": {"tasks": list(tasks), "languages": languages if languages == "all" else list(languages), "split": split},
    }


def overrides_of(sections: Mapping[str, Any]) -> Iterator[str]:
    """The same as overrides `a.b=c`, which make the run of an empty file."""
    for name, section in sections.items():
        values = {f"{name}.{key}": value for key, value in section.items()} if isinstance(section, Mapping) else {name: section}
        yield from (f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in values.items())


def check_age(model: Path, scores: Path) -> None:
    """Raises UserError where the model was written after it was scored: what has a score is not scored again, and a model that
    is trained further keeps its path."""
    written = max((path.stat().st_mtime_ns for pattern in WEIGHTS for path in model.glob(pattern)), default=0)
    if scores.is_file() and written > scores.stat().st_mtime_ns:
        raise UserError(f"{scores}: is older than the model in {model}; choose another folder (--out) or remove this one")
