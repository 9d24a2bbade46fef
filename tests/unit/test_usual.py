"""Unusual settings: reported in one line, never refused."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny import tiny_benchmark, tiny_model

from xdist.cli import main
from xdist.config import Train, load_run, load_study
from xdist.estimate.shapes import shape_of
from xdist.estimate.usual import FEWEST, USUAL, unusual_lines, usual_rate
from xdist.files import shipped
from xdist.resolve.subsets import Subsets
from xdist.study import Facts, expand
from xdist.study.estimate import unusual_settings

PAGE = Path(__file__).parents[2] / "docs/how-to/rates.md"


def train(**values: object) -> Train:
    return Train.model_validate({"tasks": [{"task": "xnli"}], "steps": 500, "learning_rate": 2e-5, **values})


def lines(updates: int | None = 500, model: str = "base", frozen: bool = False, **values: object) -> list[str]:
    return unusual_lines(train(**values), updates, shape_of(model).matrices, frozen, False)


@pytest.mark.parametrize(
    "model, name", [("demo", "small"), ("base", "base"), ("mbert", "base"), ("large", "large"), ("xl", "XL")]
)
def test_the_size_is_that_of_the_layers(model: str, name: str) -> None:
    assert {usual_rate(shape_of(model).matrices, frozen).name for frozen in (True, False)} == {name}


def test_the_rate_of_the_demos_encoder() -> None:
    (line,) = lines(model="demo", frozen=True)
    assert line == (
        "train.learning_rate=2e-5 is 5 times below what a small encoder (21 M parameters in its layers, its embedding frozen) "
        "usually takes, 1e-4 to 5e-4; try some on English dev: xdist tune RUN.yaml"
    )
    assert lines(model="demo", frozen=True, learning_rate=3e-4) == []
    (line,) = lines(model="large", learning_rate=1e-3)
    assert "train.learning_rate=1e-3 is 33 times above what a large encoder (302 M parameters in its layers) usually" in line


@pytest.mark.parametrize("model", ["demo", "base", "large", "xl", "xxl"])
@pytest.mark.parametrize("frozen", [True, False])
def test_only_what_is_far_is_told(model: str, frozen: bool) -> None:
    usual = usual_rate(shape_of(model).matrices, frozen)
    for rate in (usual.low / 2.9, usual.low, usual.high, usual.high * 2.9):
        assert lines(model=model, frozen=frozen, learning_rate=rate) == []
    for rate in (usual.low / 3.1, usual.high * 3.1):
        assert len(lines(model=model, frozen=frozen, learning_rate=rate)) == 1


def test_the_length_of_training() -> None:
    assert lines(updates=FEWEST) == []
    assert lines(updates=99) == ["99 updates teach a new head little: 100 or more are usual"]
    assert lines(updates=1, epochs=0.001, steps=None) == ["1 update teach a new head little: 100 or more are usual"]
    assert lines(warmup=499) == lines(warmup=0.99) == []
    assert lines(warmup=500) == ["train.warmup=500 is no shorter than training, 500 updates: the rate is never reached"]
    assert lines(select={"every": 499}) == []
    assert "nothing is chosen" in lines(select={"every": 500})[0]
    assert lines(updates=None, warmup=1e6, select={"every": 10**9}) == []


def test_what_is_not_known_is_not_told() -> None:
    assert unusual_lines(train(learning_rate=1), 500, None, False, False) == []
    assert unusual_lines(train(learning_rate=1), 500, 1e6, False, language_model=True) == []
    run = load_run(shipped("jobs") / "runs/xtreme-r/xnli.yaml", ["model.backbone=some/encoder", "train.learning_rate=1"])
    assert unusual_settings(run.train, run.model, run.data, Subsets(run).training) == []


@pytest.mark.parametrize("path", sorted((shipped("jobs") / "runs").rglob("*.yaml")), ids=lambda path: path.stem)
def test_no_shipped_run_has_a_rate_that_is_far(path: Path) -> None:
    run = load_run(path)
    said = unusual_settings(run.train, run.model, run.data, Subsets(run).training)
    assert not [line for line in said if "learning_rate" in line]


@pytest.mark.parametrize("name", ["xtreme-r", "encoders", "shots"])
def test_no_run_of_a_shipped_study_has_one(name: str) -> None:
    graph = expand(load_study(shipped("jobs") / "studies" / f"{name}.yaml"), Facts())
    for node in graph.after(None):
        assert not [
            line
            for line in unusual_settings(node.run.train, node.run.model, node.run.data, node.resolved.subsets.training)
            if "learning_rate" in line
        ]


def test_the_page_has_the_table() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    assert rows == [
        f"| {one.name} | {f'up to {one.parameters / 1e6:.0f} M' if one.parameters < 1e10 else 'more'} | "
        f"{'frozen' if one.frozen else 'trained'} | {one.said} |"
        for one in USUAL
    ]


def test_every_door_tells_it_and_goes_on(tmp_path: Path) -> None:
    tiny_model(tmp_path / "encoder", tiny_benchmark(tmp_path / "data"))
    run = {
        "model": {"backbone": str(tmp_path / "encoder")},
        "data": {"root": str(tmp_path / "data"), "cache": str(tmp_path / "prepared")},
        "train": {"tasks": [{"task": "cldr-topic"}], "steps": 7, "learning_rate": 0.5},
    }
    (tmp_path / "run.yaml").write_text(json.dumps({"name": "far", "folder": str(tmp_path / "far"), **run}))
    study = {"name": "far", "folder": str(tmp_path / "study"), "stages": {"one": {"run": run}}, "seeds": [1, 2, 3]}
    (tmp_path / "study.yaml").write_text(json.dumps(study))
    (tmp_path / "slurm.yaml").write_text("{kind: slurm, time_limit: 1h}")
    for words in (
        ["plan", "run.yaml", "--gpu-memory", "80"],
        ["train", "run.yaml", "--dry-run"],
        ["submit", "run.yaml", "--cluster", str(tmp_path / "slurm.yaml"), "--dry-run"],
        ["study", "plan", "study.yaml"],
        ["study", "run", "study.yaml", "--dry-run"],
    ):
        done = CliRunner().invoke(
            main, [str(tmp_path / word) if word.endswith(("run.yaml", "study.yaml")) else word for word in words]
        )
        assert done.exit_code == 0, done.output
        told = [line for line in done.output.splitlines() if line.startswith("unusual setting")]
        assert len(told) == 2, done.output
        assert "train.learning_rate=5e-1 is 1667 times above" in told[0]
        assert "7 updates teach" in told[1]
        assert ("one-s1 and 2 more" in told[0]) == (words[0] == "study")
    found = CliRunner().invoke(main, ["plan", str(tmp_path / "run.yaml"), "--gpu-memory", "80", "--json"])
    assert len(json.loads(found.output)["unusual"]) == 2
