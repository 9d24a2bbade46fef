"""What a checkpoint folder holds. A tag is a folder of shards with a manifest, which is written last: without one that is
valid, or under another name than its step, it does not exist.

checkpoints/step-00000200/manifest.json  step, world, stage; size and sha256 of every other file; a digest of all that
                                         and "holds": "weights" where optimizer states were dropped (checkpoint.stripped)
checkpoints/latest                       the name of the newest tag, moved after it
checkpoints/.saving/                     a tag that is being written, or that a killed process was writing
checkpoints/damaged-step-00000300/       a tag that was found damaged, kept until the next one is saved
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdist.errors import UserError
from xdist.files import digest, read_json, write_json, write_text

MANIFEST = "manifest.json"
LATEST = "latest"
SAVING = ".saving"
DAMAGED = "damaged-"
WEIGHTS = "weights.safetensors"  # all that a stripped checkpoint holds


@dataclass(frozen=True, slots=True)
class Tag:
    """A saved step: `step` steps of training are done."""

    path: Path
    manifest: dict[str, Any]

    @property
    def step(self) -> int:
        return int(self.manifest["step"])

    @property
    def world(self) -> int:
        return int(self.manifest["world"])

    @property
    def stage(self) -> int:
        """The ZeRO stage it was saved at."""
        return int(self.manifest["stage"])

    @property
    def has_states(self) -> bool:
        """Whether a run can resume from it; else it holds weights alone."""
        return self.manifest.get("holds") != "weights"

    @property
    def bytes(self) -> int:
        return sum(file["size"] for file in self.manifest["files"].values())

    def shrunken(self) -> list[str]:
        """What is wrong by names and sizes alone, a line per file; nothing is read."""
        found = []
        for name, expected in self.manifest["files"].items():
            path = self.path / name
            if not path.is_file():
                found.append(f"{name} is missing")
            elif path.stat().st_size != expected["size"]:
                found.append(f"{name} has {path.stat().st_size} bytes instead of {expected['size']}")
        return found

    def damage(self, rank: int = 0, world: int = 1, seen: Callable[[int], None] = lambda _: None) -> list[str]:
        """What is wrong with this rank's share of the files, which are read completely; `seen` gets the bytes of each. The
        shares are equal in bytes as far as complete files allow."""
        loads = [0] * world
        found = []
        for name, expected in sorted(self.manifest["files"].items(), key=lambda item: (-item[1]["size"], item[0])):
            owner = loads.index(min(loads))
            loads[owner] += expected["size"] + 1
            if owner != rank:
                continue
            path = self.path / name
            try:
                size = path.stat().st_size
                if size != expected["size"]:
                    found.append(f"{name} has {size} bytes instead of {expected['size']}")
                elif checksum(path) != expected["sha256"]:
                    found.append(f"{name} has changed since it was written")
            except FileNotFoundError:
                found.append(f"{name} is missing")
            except OSError as error:
                found.append(f"{name} cannot be read ({error.strerror})")
            seen(expected["size"])
        return found


def tag_name(step: int) -> str:
    return f"step-{step:08d}"


def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_tag(path: Path) -> Tag | None:
    """The tag at `path`, None where there is no valid manifest of that step."""
    try:
        if not (path / MANIFEST).is_file():
            return None
        manifest = read_json(path / MANIFEST)
        own = manifest.pop("digest")
        if digest(manifest) == own and path.name == tag_name(manifest["step"]) and _is_whole(manifest):
            return Tag(path, manifest)
    except (OSError, UserError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return None


def _is_whole(manifest: dict[str, Any]) -> bool:
    """Raises as a reader of a manifest would that others wrote."""
    sizes = [int(file["size"]) for file in manifest["files"].values()]
    return all(size >= 0 for size in sizes) and type(manifest["step"]) is int


def list_tags(folder: Path) -> list[Tag]:
    """The tags below `folder`, oldest first, damaged files or not."""
    return sorted((tag for path in folder.glob("step-*") if (tag := read_tag(path))), key=lambda tag: tag.step)


def last_good_tag(folder: Path) -> Tag | None:
    """The newest tag whose files are all there in their full size."""
    return next((tag for tag in reversed(list_tags(folder)) if not tag.shrunken()), None)


def finish_tag(folder: Path, step: int, world: int, stage: int, files: dict[str, dict[str, Any]]) -> Tag:
    """Make what is in `.saving` the tag of `step`: manifest, rename, `latest`, each on the disk before the next."""
    saving, path = folder / SAVING, folder / tag_name(step)
    manifest = {"step": step, "world": world, "stage": stage, "files": dict(sorted(files.items()))}
    _write_manifest(saving, manifest)
    if path.exists():
        shutil.rmtree(path)  # the same step by an earlier life of the run
    os.replace(saving, path)
    sync_to_disk(folder)
    write_text(folder / LATEST, path.name)
    return Tag(path, manifest)


def replace_manifest(tag: Tag, files: dict[str, dict[str, Any]]) -> None:
    """Have `tag` hold weights alone, which are in `files` of its folder."""
    _write_manifest(tag.path, {**tag.manifest, "files": files, "holds": "weights"})


def is_stripped(tag: Tag) -> bool:
    """Whether it holds weights alone, and nothing that an interruption left next to them."""
    return not tag.has_states and {path.name for path in tag.path.iterdir()} == {WEIGHTS, MANIFEST}


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    write_json(folder / MANIFEST, {**manifest, "digest": digest(manifest)})
    sync_to_disk(folder / MANIFEST)
    sync_to_disk(folder)


def sync_to_disk(path: Path) -> None:
    """Return when the file or the folder's list of names is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def set_tag_aside(tag: Tag) -> None:
    """Take a damaged tag out of the way: it does not exist any more, but can be looked at until the next one is saved."""
    aside = tag.path.with_name(DAMAGED + tag.path.name)
    shutil.rmtree(aside, ignore_errors=True)
    tag.path.rename(aside)


def prune_tags(folder: Path, keep: int) -> list[Path]:
    """Remove all but the last `keep` tags that look intact, and what killed saves and removals left behind; returns what was
    removed."""
    kept = {tag.path for tag in [tag for tag in list_tags(folder) if not tag.shrunken()][-keep:]}
    removed = [path for path in tag_folders(folder) if path not in kept]
    for path in removed:
        shutil.rmtree(path)
    return removed


def tag_folders(folder: Path) -> list[Path]:
    """Every folder below `folder` that is or was a tag, intact or not, or was going to be one."""
    return [path for pattern in ("step-*/", f"{DAMAGED}step-*/", f"{SAVING}/") for path in sorted(folder.glob(pattern))]
