"""Checkpoints in shards: every rank writes its own, and a tag exists once its manifest does, which is written last."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdist.errors import UserError
from xdist.files import read_json, write_json
from xdist.runtime import distributed
from xdist.runtime.engine import Engine

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Tag:
    """A saved step: `step` steps of training are done."""

    path: Path
    manifest: dict[str, Any]

    @property
    def step(self) -> int:
        return self.manifest["step"]


def tags(folder: Path) -> list[Tag]:
    """The whole tags below `folder`, oldest first: those with a manifest whose files are there in their full size."""
    found = []
    for path in folder.glob("step-*"):
        try:
            manifest = read_json(path / MANIFEST)
        except (OSError, ValueError):
            continue
        if all((path / name).is_file() and (path / name).stat().st_size == size for name, size in manifest["files"].items()):
            found.append(Tag(path, manifest))
    return sorted(found, key=lambda tag: tag.step)


def save(folder: Path, engine: Engine, step: int, stage: int, keep: int, client_state: dict[str, Any]) -> None:
    """Save `step` done steps as a tag and drop all but the last `keep`. Collective."""
    name = f"step-{step:08d}"
    path = folder / name
    if distributed.rank() == 0:
        shutil.rmtree(path, ignore_errors=True)  # what a killed save of this step may have left
    distributed.barrier()
    engine.deepspeed.save_checkpoint(
        str(folder), tag=name, client_state=client_state, save_latest=False, exclude_frozen_parameters=True
    )
    distributed.barrier()
    if distributed.rank() == 0:
        files = {str(file.relative_to(path)): file.stat().st_size for file in sorted(path.rglob("*")) if file.is_file()}
        write_json(path / MANIFEST, {"step": step, "world": distributed.world(), "stage": stage, "files": files})
        prune(folder, keep)
    distributed.barrier()


def prune(folder: Path, keep: int) -> None:
    """Remove all but the last `keep` whole tags, and what killed saves and removals left behind."""
    kept = {tag.path for tag in tags(folder)[-keep:]}
    for path in folder.glob("step-*/"):
        if path not in kept:
            shutil.rmtree(path)


def check(folder: Path, world: int, stage: int) -> Tag | None:
    """The newest whole tag. Raises UserError when this world and stage cannot read it."""
    found = tags(folder)
    if not found:
        return None
    newest = found[-1]
    saved = (newest.manifest["world"], newest.manifest["stage"])
    if saved != (world, stage):
        raise UserError(
            f"{newest.path}: was saved by {saved[0]} ranks at ZeRO stage {saved[1]}, this start has {world} at stage {stage}; "
            f"resume with runtime.ranks={saved[0]} and a stage-{saved[1]} runtime.deepspeed"
        )
    return newest


def load(tag: Tag, engine: Engine) -> dict[str, Any]:
    """Bring a fresh engine to the saved step; returns the client state. Collective."""
    path, client_state = engine.deepspeed.load_checkpoint(str(tag.path.parent), tag=tag.path.name, load_module_strict=False)
    if path is None:
        raise UserError(f"{tag.path}: DeepSpeed could not load this checkpoint")
    return client_state
