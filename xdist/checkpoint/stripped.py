"""Checkpoints without optimizer states: the fp32 weights of the trained parameters in one file, for `xdist export --tag` and
`--average`. No run resumes from one.

checkpoints/step-00000200/weights.safetensors  each parameter by its name, `rows.<name>` which rows of an embedding were trained
checkpoints/step-00000200/manifest.json        as of every checkpoint, with "holds": "weights"

A checkpoint is stripped where it is: the weights are written next to the shards, the manifest is replaced by one that names
them alone, then the shards go. Whenever that is interrupted the checkpoint is complete, as one or as the other.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from xdist.checkpoint import tags
from xdist.checkpoint.resharding import read_saved
from xdist.checkpoint.tags import WEIGHTS, Tag
from xdist.errors import UserError
from xdist.model.vocabulary import active_rows
from xdist.private import WEIGHT

_ROWS = "rows."
_TYPES = {torch.float32: "F32", torch.int64: "I64"}


def strip_tag(tag: Tag) -> int:
    """Leave the weights of `tag` alone; returns the bytes that this frees. Raises UserError where a file of it is damaged,
    OSError where there is no room."""
    before = sum(path.stat().st_size for path in tag.path.rglob("*") if path.is_file())
    if tag.has_states:
        if wrong := tag.damage():
            raise UserError(f"{tag.path} is damaged: {'; '.join(wrong)}")
        tags.replace_manifest(tag, {WEIGHTS: _write(tag)})
    for path in tag.path.iterdir():  # also what an interruption left
        if path.name not in (WEIGHTS, tags.MANIFEST):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return before - sum(path.stat().st_size for path in tag.path.iterdir())


def strip_tags(folder: Path, all_done: bool) -> Iterator[tuple[Tag, int]]:
    """Strip every tag below `folder`, with the bytes that each frees; of a run that is not `all_done` not the newest that it
    can resume from. Raises as `strip_tag` does."""
    found = tags.list_tags(folder)
    newest = next((tag for tag in reversed(found) if tag.has_states and not tag.shrunken()), None)
    for tag in found:
        if all_done or tag != newest:
            yield tag, strip_tag(tag)


def read_stripped(tag: Tag) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(weights by name, the rows of each embedding of which only some exist)."""
    with safe_open(tag.path / WEIGHTS, "pt") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    rows = {name.removeprefix(_ROWS): value for name, value in found.items() if name.startswith(_ROWS)}
    return {name: value for name, value in found.items() if not name.startswith(_ROWS)}, rows


def _write(tag: Tag) -> dict[str, object]:
    """Write the file of weights, one at a time in memory; its size and sha256."""
    saved = read_saved(tag)
    shapes = {name: (torch.float32, parameter.shape) for name, parameter in saved.parameters.items()}
    rows = {_ROWS + name: ids.long() for name, ids in active_rows(saved.common["module"]).items()}
    shapes |= {name: (torch.int64, tuple(ids.shape)) for name, ids in rows.items()}
    header, end = {}, 0
    for name, (kind, shape) in shapes.items():
        start, end = end, end + torch.Size(shape).numel() * kind.itemsize
        header[name] = {"dtype": _TYPES[kind], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # blanks up to a multiple of 8, where safetensors has its tensors begin
    total = hashlib.sha256()

    def parts() -> Iterator[bytes | memoryview]:
        yield len(text).to_bytes(8, "little") + text
        for name in shapes:
            value = rows[name] if name in rows else saved.parameters[name].whole(WEIGHT).float()
            yield value.contiguous().view(-1).view(torch.uint8).numpy().data

    path = tag.path / WEIGHTS
    try:
        with path.open("wb") as file:
            for part in parts():
                file.write(part)
                total.update(part)
            file.flush()
            os.fsync(file.fileno())
    except OSError:  # it would take the room that there is not
        path.unlink(missing_ok=True)
        raise
    return {"size": 8 + len(text) + end, "sha256": total.hexdigest()}
