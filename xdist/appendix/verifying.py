"""Whether an archive is complete, and whether its predictions have the scores that it says."""

import hashlib
import tarfile
import tempfile
import zlib
from dataclasses import dataclass, replace
from math import isclose
from pathlib import Path, PurePosixPath
from shutil import copyfile
from typing import Any

from pydantic import BaseModel, ValidationError

from xdist.appendix.bundle import ABOUT, SUMS, code_digest
from xdist.errors import UserError
from xdist.evaluation import submission
from xdist.evaluation.official import score_folder
from xdist.run.recorded import recorded_scores
from xdist.tasks.catalog import known_tasks

LARGEST = 1 << 32  # bytes of one file, unpacked


@dataclass(frozen=True, slots=True)
class Verified:
    """How many `files` have their sums, and how many `scores` of a language came out again; None where nothing was scored.
    `made_here`: by the very code that is here, of the version `made_by`."""

    files: int
    made_by: str
    made_here: bool
    scores: int | None = None


def verify(archive: Path, root: Path | None) -> Verified:
    """Raises UserError for what is no bundle, a file that is not as the sums say, and a score that comes out otherwise by the
    gold below `root`."""
    content = _unpacked(archive)
    _check_sums(archive, content)
    about = _about(archive, content)
    verified = Verified(len(content) - 1, about.xdist, about.code == code_digest())
    if root is None:
        return verified
    runs = sorted({name.split("/")[1] for name in content if name.startswith("runs/") and name.endswith("/scores.json")})
    with tempfile.TemporaryDirectory() as temporary:
        for name, data in content.items():
            path = Path(temporary) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return replace(verified, scores=sum(_scored_again(archive, Path(temporary) / "runs" / run, root) for run in runs))


class _About(BaseModel):
    xdist: str
    code: str


def _about(archive: Path, content: dict[str, bytes]) -> _About:
    try:
        return _About.model_validate_json(content.get(ABOUT, b""))
    except ValidationError:
        raise UserError(f"{archive}: {ABOUT}: is not what `xdist bundle` writes") from None


def _unpacked(archive: Path) -> dict[str, bytes]:
    """Files by their names; no path leads out of the archive, and links are none."""
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as entries:
            for entry in entries:
                name = PurePosixPath(entry.name)
                inside = name.parts[:1] == ("bundle",) and len(name.parts) > 1 and ".." not in name.parts
                if not entry.isreg() or not inside or entry.size > LARGEST:
                    raise UserError(f"{archive}: '{entry.name}' is nothing that a bundle holds")
                file = entries.extractfile(entry)
                assert file
                files[str(name.relative_to("bundle"))] = file.read()
    except FileNotFoundError:
        raise UserError(f"{archive}: no such file") from None
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise UserError(f"{archive}: cannot be read: {error}") from None
    if SUMS not in files:
        raise UserError(f"{archive}: is no bundle (no {SUMS})")
    return files


def _check_sums(archive: Path, content: dict[str, bytes]) -> None:
    sums: dict[str, str] = {}
    for line in content[SUMS].decode(errors="replace").splitlines():
        digest_of_file, _, name = line.partition("  ")
        sums[name] = digest_of_file
    for name in sorted({*sums, *content} - {SUMS}):
        if name not in content:
            raise UserError(f"{archive}: {name}: is missing")
        if name not in sums:
            raise UserError(f"{archive}: {name}: has no sum in {SUMS}")
        if hashlib.sha256(content[name]).hexdigest() != sums[name]:
            raise UserError(f"{archive}: {name}: is not what its sum says")


def _scored_again(archive: Path, run: Path, root: Path) -> int:
    """How many languages of a run's tasks have the scores that it says."""
    described = run / "tasks.yaml" if (run / "tasks.yaml").is_file() else None
    catalog, number = known_tasks(described), 0
    for name, entry in recorded_scores(run / "scores.json")["tasks"].items():
        if name not in catalog:
            raise UserError(
                f"{archive}: runs/{run.name}: task '{name}' is not installed here; a plugin provides it: --plugin FILE"
            )
        scored = {code: one for code, one in entry["languages"].items() if set(one) != {"count"}}
        with tempfile.TemporaryDirectory() as alone:  # a language without gold has predictions, and no score
            for code in scored:
                place = submission.predictions_path(run / "predictions", catalog[name], entry["split"], code)
                if not place.is_file():
                    raise UserError(f"{archive}: runs/{run.name}: {name}/{place.name} is missing")
                copy = submission.predictions_path(Path(alone) / "p", catalog[name], entry["split"], code)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copyfile(place, copy)
            again = score_folder(Path(alone) / "p", root, entry["split"], partial=True, described=described) if scored else {}
        for code, one in scored.items():
            _check_same(f"{archive}: runs/{run.name}: {name} in {code}", one, again["tasks"][name]["languages"][code])
        number += len(scored)
    return number


def _check_same(where: str, said: dict[str, Any], now: dict[str, Any]) -> None:
    for metric, value in said.items():
        if metric not in now or not isclose(float(value), float(now[metric]), rel_tol=1e-12, abs_tol=1e-9):
            raise UserError(f"{where}: {metric} was {value}, is {now.get(metric, 'missing')}: other gold, or another metric")
