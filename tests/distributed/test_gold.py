"""Gold that is blanked and comes later, on two ranks: predicted, reported, scored by the same predictions; a changed test
file is predicted again; another option or model is refused on all ranks."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from blanked import blank
from click.testing import CliRunner
from distributed.group import Group
from tiny import tiny_benchmark, tiny_model
from tiny_families import tiny_families

from xdist.cli import main
from xdist.run.folder import RunFolder

TASKS = ("xquad", "xcopa", "udpos", "xnli", "cldr-topic")


@pytest.fixture(scope="module")
def blanked_run(two: Group, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Path]]:
    """A finished run on blanked test sets: its YAML, the files as they were, and those that are blanked."""
    folder = tmp_path_factory.mktemp("gold")
    originals = tiny_families(tiny_benchmark(folder / "originals"))
    root = shutil.copytree(originals, folder / "benchmark")
    changed = blank(root)
    run = {
        "name": "gold",
        "folder": str(folder / "run"),
        "model": {"backbone": str(tiny_model(folder / "encoder", originals)), "dropout": 0.0},
        "data": {"root": str(root), "cache": str(folder / "prepared"), "max_length": 48},
        "train": {
            "tasks": [{"task": name, "weight": 1} for name in ("squad", "copa", "udpos", "xnli", "cldr-topic")],
            "steps": 1,
            "batch_size": 10,
        },
        "evaluate": {"tasks": list(TASKS)},
        "runtime": {"deepspeed": str(Path(__file__).with_name("ds_configs") / "zero2.json")},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(run))
    assert two.run("whole_run", path=str(path), overrides=[])[0]["finished"]
    return path, originals, changed


def scores(folder: RunFolder) -> dict[str, Any]:
    return json.loads(folder.scores.read_text())["tasks"]


def test_gold_comes_later(two: Group, blanked_run: tuple[Path, Path, list[Path]], tmp_path: Path) -> None:
    path, originals, changed = blanked_run
    folder, root = RunFolder(path.parent / "run"), path.parent / "benchmark"
    assert {name: list(entry["mean"]) for name, entry in scores(folder).items() if entry["mean"]} == {
        "cldr-topic": ["accuracy"]
    }

    # Nothing is left to do, and it is said why there are no scores.
    first, second = two.run("gold_cases.evaluated", path=str(path), overrides=[])
    told = "no gold: predicted, not scored: xquad (de, th, en), xcopa (sw, et), udpos (de, en), xnli (sw, de, en)"
    first["said"] = [line for line in first["said"] if not re.search(r": all \d+ predictions are ", line)]
    assert (first, second) == ({"rows": {}, "said": [told], "refused": ""}, {"rows": {}, "said": [], "refused": ""})
    done = CliRunner().invoke(main, ["report", str(folder.path), "--out", str(tmp_path / "report")])
    assert done.exit_code == 0, done.output
    assert "xnli: no gold: predicted, not scored: sw, de, en" in done.output
    assert json.loads((tmp_path / "report/report.json").read_text())["columns"][-1]["means"]["all languages"]["languages"] == 3

    # Gold for some, then for all: scored without a forward pass.
    before = {file: file.stat().st_mtime_ns for file in folder.predictions.rglob("test-*")}
    topic = scores(folder)["cldr-topic"]
    for part in (changed[:1], changed[1:]):
        for file in part:
            shutil.copyfile(originals / file.relative_to(root), file)
        ranks = two.run("gold_cases.evaluated", path=str(path), overrides=[])
        assert [one["rows"] for one in ranks] == [{}, {}]
    assert before == {file: file.stat().st_mtime_ns for file in folder.predictions.rglob("test-*")}
    assert all(len(entry["mean"]) for entry in scores(folder).values())
    assert scores(folder)["cldr-topic"] == topic
    straight = RunFolder(tmp_path / "straight")
    shutil.copytree(folder.model, straight.model)
    two.run("gold_cases.evaluated", path=str(path), overrides=[f"folder={straight.path}"])
    assert scores(straight) == scores(folder)  # as if gold had been there from the beginning

    # A test set whose texts changed is predicted again, alone.
    file = root / "xnli/test-sw.tsv"
    file.write_text(file.read_text().replace("\t", " and\t", 1))
    ranks = two.run("gold_cases.evaluated", path=str(path), overrides=[])
    assert sum(one["rows"]["xnli"] for one in ranks) == 20
    assert all(list(one["rows"]) == ["xnli"] for one in ranks)

    # Other options and another model are refused on every rank, and nothing is lost.
    kept = folder.scores.read_text()
    for option, said in (
        ("data.max_length=32", "data.max_length: was 48 when 'xquad' was predicted, is 32; choose another folder"),
        ("evaluate.smoothing={draws: 2}", "evaluate.smoothing: was null when 'xquad' was predicted"),
    ):
        ranks = two.run("gold_cases.evaluated", path=str(path), overrides=[option])
        assert all(said in one["refused"] for one in ranks)
        done = CliRunner().invoke(main, ["evaluate", str(path), option, "--dry-run"])
        assert (done.exit_code, done.output) == (2, f"xdist: {ranks[0]['refused']}\n")
    heads = folder.model / "heads.safetensors"
    heads.write_bytes(heads.read_bytes() + b" ")
    ranks = two.run("gold_cases.evaluated", path=str(path), overrides=[])
    assert all(one["refused"].startswith(f"{folder.model}: is not the model that made ") for one in ranks)
    assert folder.scores.read_text() == kept
