"""Folders that version 0.1.0 wrote (a finished run, the same stopped after a checkpoint, prepared sets, a study) are read,
scored, exported and resumed with."""

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from typing_of_commands import Typed

from xdist.cli import main

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures/version-0.1.0.tar.xz"
LANGUAGES = ("de", "en")
CHECKPOINT = "checkpoints/step-00000002"
STUDY = [("target-none-s1", "finished", "4 of 4"), ("target-noise-s1", "finished", "4 of 4")]
Says = Callable[..., list[str]]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("version-0.1.0")
    with tarfile.open(FIXTURE) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.fixture
def says(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> Says:
    """The lines of a command that ends well, typed where the folders are: their descriptions name each other relatively."""
    monkeypatch.chdir(unpacked)

    def run(*words: object) -> list[str]:
        done = CliRunner().invoke(main, [*map(str, words)], env={"COLUMNS": "200"})
        assert done.exit_code == 0, done.output
        return done.stdout.splitlines()

    return run


def contents(*folders: str) -> dict[Path, tuple[int, bytes]]:
    """When each file below was written, and what is in it."""
    files = [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def read(path: str | Path) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def steps(folder: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_status(says: Says) -> None:
    head, _, *rows = (line.split() for line in says("status", "finished", "stopped", "study"))
    assert head == ["run", "state", "step", "loss", "saved"]
    assert rows == [
        ["finished", "finished", "12/12", "1.7854"],
        ["stopped", "unfinished", "2/12", "1.7937", "2"],
        ["target-none-s1", "finished", "4/4", "1.7919"],
        ["target-noise-s1", "finished", "4/4", "1.7919"],
    ]


def test_report(says: Says, tmp_path: Path) -> None:
    says("report", "finished", "--out", tmp_path)
    (column,) = read(tmp_path / "report.json")["columns"]
    scores = read("finished/scores.json")["tasks"]["cldr-topic"]
    assert {code: found["accuracy"] for code, found in column["languages"].items()} == {
        code: scores["languages"][code]["accuracy"] for code in LANGUAGES
    }
    assert column["trained_on"] == scores["trained_on"]


def test_the_finished_run_is_finished(says: Says) -> None:
    before = contents("finished", "prepared")
    for command in ("train", "evaluate"):
        finished, told, *_ = says(command, "finished.yaml")
        assert finished == "finished is finished: finished/scores.json"
        assert told.startswith("finished/scores.json: was written by an earlier version")
    assert contents("finished", "prepared") == before


def test_its_predictions_have_the_scores_that_it_gave_them(says: Says, tmp_path: Path) -> None:
    says("score", "finished/predictions", "--gold", "benchmark", "--partial", "--out", tmp_path / "scores.json")
    now, then = (read(path)["tasks"]["cldr-topic"] for path in (tmp_path / "scores.json", "finished/scores.json"))
    assert (now["languages"], now["mean"]) == (then["languages"], then["mean"])


@torch.no_grad()
def test_its_exported_model_predicts_what_it_predicted(says: Says, tmp_path: Path) -> None:
    said = says("export", "finished", tmp_path / "model")[-1]
    assert said.endswith("XLMRobertaForSequenceClassification from finished/model")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    heads = load_file("finished/model/heads.safetensors")
    weights = [value for name, value in model.state_dict().items() if name.startswith("classifier.")]
    assert all(any(torch.equal(one, other) for one in weights) for other in heads.values())
    for code in LANGUAGES:
        lines = Path(f"benchmark/cldr-topic/test-{code}.tsv").read_text(encoding="utf-8").splitlines()
        logits = model(**tokenizer([line.split("\t")[0] for line in lines], padding=True, return_tensors="pt")).logits
        names = [model.config.id2label[int(number)] for number in logits.argmax(-1)]
        assert names == Path(f"finished/predictions/cldr-topic/test-{code}.tsv").read_text(encoding="utf-8").split()


def test_a_checkpoint(says: Says, tmp_path: Path) -> None:
    assert says("checkpoint", "verify", "stopped") == ["step-00000002: whole"]
    said = says("export", "stopped", tmp_path / "model", "--tag", "last")[-1]
    assert said.endswith(f"XLMRobertaForSequenceClassification from stopped/{CHECKPOINT}")


def test_prepared_sets_are_taken(says: Says) -> None:
    before = contents("prepared")
    says("prepare", "finished.yaml")
    assert contents("prepared") == before


def test_the_study_is_finished(says: Says, tmp_path: Path) -> None:
    before = contents("study/runs", "study/descriptions")
    for command in ("status", "run"):
        rows = [tuple(line.strip().split(maxsplit=2)) for line in says("study", command, "study.yaml")]
        assert [row for row in rows if row and row[0].startswith("target-")] == STUDY
    assert contents("study/runs", "study/descriptions") == before
    says("report", "study.yaml", "--out", tmp_path)
    found = read(tmp_path / "report.json")["tasks"]
    assert {one["condition"]: one["tasks"]["cldr-topic"]["mean"] for one in found} == {
        "robust: none": 18.75,
        "robust: noise": 18.75,
    }


def test_the_stopped_run_goes_on_as_the_finished_one_did(unpacked: Path, says: Says, loaded: Typed) -> None:
    shutil.copytree("stopped", "resumed")
    before = contents("prepared")
    done = loaded("xdist", "train", "stopped.yaml", "folder=resumed", cwd=unpacked, more={"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert f"resuming after step 2, from resumed/{CHECKPOINT}" in done.stderr
    now, then = steps("resumed"), steps("finished")
    assert [one["step"] for one in now if "train/loss" in one] == [one["step"] for one in then]
    # Another CPU may round otherwise than the one that version 0.1.0 ran on.
    for one, other in zip(now, then, strict=False):
        for name in ("train/loss", "train/grad_norm", "robust/radius", "train/lr", "epochs/cldr-topic/de"):
            assert one[name] == pytest.approx(other[name], rel=1e-4), (one["step"], name)
    assert contents("prepared") == before
    tasks = [read(f"{folder}/scores.json")["tasks"]["cldr-topic"] for folder in ("resumed", "finished")]
    assert tasks[0]["languages"] == tasks[1]["languages"]
