"""xdist bundle: the same runs give the same bytes, its scores come out again, what was changed is named. Signatures."""

import gzip
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from study_folder import described, finished, gold

from xdist.cli import main
from xdist.run.signature import signature, signatures
from xdist.version import __version__


def typed(*words: object) -> Result:
    return CliRunner().invoke(main, ["bundle", *map(str, words)])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a study whose runs are finished; gold is in data/ next to it."""
    folder = tmp_path_factory.mktemp("bundle")
    path = described(folder, gold(folder / "data", size=20), seeds=1)
    graph = finished(path, lambda values, code: 0.7)
    config = next(iter(graph.nodes.values())).run.folder / "config.yaml"
    config.write_text(config.read_text() + "# https://me:s3cret@host/x and hf_abcdefghijklmnopqrstu\n")
    return path


@pytest.fixture(scope="module")
def archive(study: Path) -> Path:
    out = study.parent / "a.tar.gz"
    done = typed(study, "--out", out)
    assert done.exit_code == 0, done.output
    return out


def content(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as entries:
        return {one.name: entries.extractfile(one).read() for one in entries}  # type: ignore[union-attr]


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as entries:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            entries.addfile(entry, io.BytesIO(text))
    return path


def summed(files: dict[str, bytes]) -> dict[str, bytes]:
    """With the sums that these files have."""
    names = sorted(name.removeprefix("bundle/") for name in files if name != "bundle/SHA256SUMS")
    lines = (f"{hashlib.sha256(files[f'bundle/{name}']).hexdigest()}  {name}\n" for name in names)
    return {**files, "bundle/SHA256SUMS": "".join(lines).encode()}


def test_it_holds_what_the_numbers_were_made_of_and_no_secret(archive: Path) -> None:
    names = set(content(archive))
    assert {f"bundle/{name}" for name in ("BUNDLE.json", "SHA256SUMS", "sources.bib", "signatures.txt", "study.yaml")} <= names
    kinds = {re.sub(r"runs/[^/]+/", "", name.removeprefix("bundle/")) for name in names}
    assert {"config.yaml", "environment.json", "scores.json", "metrics.jsonl", "predictions/cldr-topic/test-sw.tsv"} <= kinds
    plain = gzip.decompress(archive.read_bytes())
    assert plain.count(b"HIDDEN") == 2
    assert b"s3cret" not in plain
    assert b"hf_abc" not in plain


def test_the_same_runs_make_the_same_bytes(study: Path, archive: Path, tmp_path: Path) -> None:
    assert typed(study, "--out", tmp_path / "b.tar.gz").exit_code == 0
    assert (tmp_path / "b.tar.gz").read_bytes() == archive.read_bytes()


def test_its_scores_come_out_again(study: Path, archive: Path) -> None:
    done = typed("--verify", archive, "--data", study.parent / "data")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1:] == [
        f"made by xdist {__version__}, the code that is here",
        f"{4 * 12} scores were reproduced",
    ]


def test_other_code_is_told(archive: Path, tmp_path: Path) -> None:
    files = content(archive)
    about = {**json.loads(files["bundle/BUNDLE.json"]), "xdist": "0.0.9", "code": "0" * 64}
    done = typed("--verify", packed(tmp_path / "o.tar.gz", summed({**files, "bundle/BUNDLE.json": json.dumps(about).encode()})))
    assert (done.exit_code, done.stdout.splitlines()[1]) == (0, "made by xdist 0.0.9, other code than is here")
    done = typed("--verify", packed(tmp_path / "n.tar.gz", summed({**files, "bundle/BUNDLE.json": b"[]"})))
    assert (done.exit_code, done.stderr.endswith("BUNDLE.json: is not what `xdist bundle` writes\n")) == (2, True)


def test_a_changed_file_is_named(archive: Path, tmp_path: Path) -> None:
    files = content(archive)
    name = next(name for name in files if name.endswith("test-sw.tsv"))
    done = typed("--verify", packed(tmp_path / "c.tar.gz", {**files, name: files[name][:-1]}))
    assert (done.exit_code, done.stderr) == (
        2,
        f"xdist: {tmp_path / 'c.tar.gz'}: {name.removeprefix('bundle/')}: is not what its sum says\n",
    )
    del files[name]
    done = typed("--verify", packed(tmp_path / "d.tar.gz", files))
    assert done.stderr.endswith(f"{name.removeprefix('bundle/')}: is missing\n")


def test_other_gold_is_told_with_both_numbers(archive: Path, tmp_path: Path) -> None:
    root = gold(tmp_path / "data", size=20)
    file = root / "cldr-topic/test-sw.tsv"
    lines = file.read_text().splitlines()
    label = lines[0].split("\t")[1]
    other = next(line.split("\t")[1] for line in lines if line.split("\t")[1] != label)
    file.write_text("\n".join([lines[0].replace(label, other), *lines[1:]]) + "\n")
    done = typed("--verify", archive, "--data", root)
    assert done.exit_code == 2
    assert re.search(r"cldr-topic in sw: accuracy was [\d.]+, is [\d.]+: other gold, or another metric$", done.stderr)


@pytest.mark.parametrize("name", ["bundle/../out", "elsewhere", "/bundle/x"])
def test_an_archive_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    done = typed("--verify", packed(tmp_path / "e.tar.gz", {name: b"x"}))
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.endswith("is nothing that a bundle holds\n")


def test_what_is_there_is_not_overwritten_and_what_is_none_is_one_line(study: Path, archive: Path, tmp_path: Path) -> None:
    assert typed(study, "--out", archive).stderr == f"xdist: {archive}: already exists; choose another file\n"
    (tmp_path / "f.tar.gz").write_bytes(archive.read_bytes()[:2000])
    for broken in (tmp_path / "f.tar.gz", tmp_path / "none.tar.gz", study):
        done = typed("--verify", broken)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert (
        typed("--out", tmp_path / "g").exit_code == typed(study).exit_code == typed("--verify", archive, study).exit_code == 2
    )


def test_a_signature_says_what_a_score_was_made_of() -> None:
    pieces = {
        "test de": {"inputs": "a", "files": "b", "predictions": "c"},
        "test sw": {"inputs": "d", "files": "e", "predictions": "f"},
    }
    entry = {
        "metric": "f1",
        "scored_by": "seqeval-0.0.12",
        "split": "test",
        "mean": {"f1": 50.0},
        "languages": {"de": {"f1": 40.0, "count": 3}, "sw": {"f1": 60.0, "count": 4}, "yo": {"count": 5}},
        "made_of": {"model": "m", "options": {}, "pieces": pieces},
    }
    line = signature("panx", entry, {"seed": 1, "xdist": "0.1.0"})
    said = dict(part.split(":", 1) for part in line.split("|"))
    assert list(said) == [
        *("task", "metric", "by", "split", "languages", "examples", "gold", "predictions", "model", "options", "seed", "xdist")
    ]
    assert (said["languages"], said["examples"], said["by"]) == ("de+sw", "7", "seqeval-0.0.12")
    pieces["test sw"]["files"] = "other"
    other = dict(part.split(":", 1) for part in signature("panx", entry, {}).split("|"))
    assert other["gold"] != said["gold"]
    assert other["predictions"] == said["predictions"]


def test_a_report_of_runs_has_signatures(study: Path, tmp_path: Path) -> None:
    run = next(path.parent for path in (study.parent / "out").rglob("scores.json"))
    (line,) = signatures(run).values()
    assert line.startswith("task:cldr-topic|metric:accuracy|by:accuracy|split:test|languages:12|examples:")
    assert CliRunner().invoke(main, ["report", str(run), "--out", str(tmp_path)]).exit_code == 0
    (told,) = json.loads((tmp_path / "report.json").read_text())["runs"]
    assert told["signatures"] == {"cldr-topic": line}


def test_an_archive_with_any_byte_changed_is_refused_in_one_line_or_still_whole(archive: Path, tmp_path: Path) -> None:
    raw, path = archive.read_bytes(), tmp_path / "b.tar.gz"
    done = typed("--verify", path)
    assert (done.exit_code, done.stderr) == (2, f"xdist: {path}: no such file\n")
    for place in range(0, len(raw), max(1, len(raw) // 60)):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 0x55]) + raw[place + 1 :])
        done = typed("--verify", path)
        assert done.exit_code == 0 or (done.exit_code == 2 and done.stderr.count("\n") == 1), (place, done.exception)
