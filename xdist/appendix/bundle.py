"""An archive for an appendix: the descriptions of runs, their results and what these were computed from, with sums over all of
it.

BUNDLE.json  SHA256SUMS  sources.bib  signatures.txt
study.yaml  report/…                            of a study: its description, its page, tables and figures
runs/<run>/config.yaml data.json deepspeed.json environment.json metrics.jsonl scores.json tasks.yaml
runs/<run>/predictions/<task>/<split>-<language>.<ext>
No weights. The same runs make the same bytes: entries in order, without times, owners or the machine's rights.
"""

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from xdist.appendix.cited import as_bibtex, cited_papers
from xdist.appendix.places import Meant
from xdist.errors import UserError
from xdist.files import digest, file_digest, written
from xdist.run.folder import RunFolder
from xdist.run.signature import signatures
from xdist.version import __version__

SUMS, ABOUT = "SHA256SUMS", "BUNDLE.json"
KEPT = ("config", "data", "deepspeed", "environment", "metrics", "scores")
PACKAGE = Path(__file__).parents[1]
# What gives access: names and passwords of addresses, and tokens of the hub and of code hosts.
SECRET = re.compile(rb"(?<=://)[^/\s@'\"]+:[^/\s@'\"]+(?=@)|\b(?:hf_|ghp_|github_pat_|glpat-)[A-Za-z0-9_-]{16,}")
HIDDEN = b"HIDDEN"


def write_bundle(meant: Meant, out: Path) -> list[str]:
    """Write the archive `out`; returns the names of the runs in it. Raises UserError where `out` exists already or no run has
    scores."""
    if out.exists():
        raise UserError(f"{out}: already exists; choose another file")
    folders = {name: RunFolder(run.folder) for name, run in meant.runs.items() if run.folder.is_dir()}
    scored = [name for name, folder in folders.items() if folder.scores.is_file()]
    if not scored:
        raise UserError("no run has scores yet: nothing to bundle")
    content = {name: _safe(name, text) for name, text in _files(meant, folders)}
    about = {"xdist": __version__, "code": code_digest(), "runs": sorted(folders), "scored": sorted(scored)}
    content[ABOUT] = (json.dumps(about, indent=1) + "\n").encode()
    lines = (f"{hashlib.sha256(content[name]).hexdigest()}  {name}\n" for name in sorted(content))
    content[SUMS] = "".join(lines).encode()
    with written(out) as temporary, temporary.open("wb") as file:
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
            with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
                for name in sorted(content):
                    entry = tarfile.TarInfo(f"bundle/{name}")
                    entry.size = len(content[name])
                    archive.addfile(entry, io.BytesIO(content[name]))
    return sorted(folders)


def code_digest() -> str:
    """Of all of xdist's own code that is installed here."""
    files = sorted(PACKAGE.rglob("*.py"))
    return digest([(path.relative_to(PACKAGE).as_posix(), file_digest(path)) for path in files])


def _files(meant: Meant, folders: Mapping[str, RunFolder]) -> Iterator[tuple[str, bytes]]:
    """(name in the archive, content) of all but what is worked out of them."""
    runs = meant.runs
    yield "sources.bib", as_bibtex(cited_papers(runs[name] for name in folders)).encode()
    lines = [f"{name}: {line}\n" for name, folder in folders.items() for line in signatures(folder.path).values()]
    yield "signatures.txt", "".join(lines).encode()
    if meant.study and meant.file:
        yield "study.yaml", meant.file.read_bytes()
        yield from _below(meant.study.folder / "report", "report")
    for name, folder in folders.items():
        for kept in KEPT:
            path: Path = getattr(folder, kept)
            if path.is_file():
                yield f"runs/{name}/{path.name}", path.read_bytes()
        if (tasks := runs[name].data.tasks) and tasks.is_file():
            yield f"runs/{name}/tasks.yaml", tasks.read_bytes()
        yield from _below(folder.predictions, f"runs/{name}/predictions")


def _below(folder: Path, name: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in parts):
            yield f"{name}/{'/'.join(parts)}", path.read_bytes()


def _safe(name: str, content: bytes) -> bytes:
    """Without what gives access. Predictions and figures stay as they are: their digests are those of scores.json."""
    return content if "/predictions/" in name else SECRET.sub(HIDDEN, content)
