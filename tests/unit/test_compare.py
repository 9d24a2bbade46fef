"""xdist compare: run folders with real predictions against real gold, in every family that has scores per example."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from pages import json_keys, keys_of
from test_score_folder import gold_of
from test_significance import counted
from tiny import tiny_benchmark
from tiny_families import tiny_families

from xdist.cli import main
from xdist.evaluation import submission
from xdist.evaluation.per_example import Gold, scored_tasks
from xdist.evaluation.scores import Scores
from xdist.formats.examples import Sentence
from xdist.metrics import mining
from xdist.metrics.accuracy import ACCURACY
from xdist.metrics.significance import Interval
from xdist.report.comparison import DIAGONAL, OFF_DIAGONAL, Compared, compare
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

TASKS = ("xquad", "xcopa", "udpos", "xnli", "cldr-names")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gold")
    tiny_benchmark(folder)
    return tiny_families(folder)


def make_run(
    folder: Path,
    root: Path,
    wrong: float,
    seed: int,
    trained_on: Sequence[str] = ("en",),
    split: Literal["dev", "test"] = "test",
) -> Path:
    """A run folder whose predictions are gold except for a share of examples, which are predicted like the one before."""
    rng = np.random.default_rng(seed)
    config = {"name": folder.name, "folder": str(folder), "model": {"backbone": "x"}, "data": {"root": str(root)}}
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "evaluate": {"tasks": list(TASKS)}}))
    scores = Scores(folder / "scores.json", folder.name)
    for name in TASKS:
        entry, found = task(name), {}
        if split not in entry.files:
            continue
        for code in entry.languages:
            if not all(path.is_file() for path in entry.paths(root, split, code)):
                continue
            examples = list(entry.examples(root, split, code))
            answers = worsened(gold_of(entry, examples), wrong, rng)
            submission.write_predictions(
                submission.predictions_path(folder / "predictions", entry, split, code), entry, answers
            )
            found[code] = {**family_of(entry).score(answers, examples, code), "count": len(answers)}
        scores.add(entry, split, list(trained_on), found)
    return folder


def worsened(answers: Any, wrong: float, rng: np.random.Generator) -> Any:
    if isinstance(answers, dict):
        return {key: answer if rng.random() > wrong else "nothing" for key, answer in answers.items()}
    if isinstance(answers[0], list):
        return [tags if rng.random() > wrong else [tags[0]] * len(tags) for tags in answers]
    return [answer if rng.random() > wrong else answers[number - 1] for number, answer in enumerate(answers)]


@pytest.fixture(scope="module")
def runs(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [
        make_run(folder / f"{name}{seed}", root, wrong, seed) for name, wrong in (("a", 0.1), ("b", 0.9)) for seed in (1, 2)
    ]


def test_rows_give_the_scores_of_the_run(runs: list[Path]) -> None:
    written = json.loads((runs[2] / "scores.json").read_text())["tasks"]
    found = scored_tasks(runs[2], Gold())
    assert set(found) == set(TASKS)
    for name, one in found.items():
        metric = one.metric
        for code, rows in one.rows.items():
            here = written[name]["languages"][code]
            assert len(rows) == here["count"] or one.family == "tagging"
            assert float(metric.points(rows.sum(axis=0))) == pytest.approx(here[metric.headline])


def test_compare_two_runs(runs: list[Path]) -> None:
    gold = Gold()
    systems = [scored_tasks(folder, gold) for folder in runs]
    found = compare([run["xnli"].rows for run in systems[:2]], [run["xnli"].rows for run in systems[2:]], ACCURACY, ["en"])
    codes = list(systems[0]["xnli"].rows)
    assert set(found.languages) == set(codes)
    everything = found.groups["all languages"]
    assert everything.languages == len(codes)
    assert everything.a - everything.b == pytest.approx(everything.interval.difference)
    assert everything.interval.low <= everything.interval.difference <= everything.interval.high
    assert found.groups["not trained on"].languages == len(codes) - 1
    assert found.shuffled < 0.05


def test_pairs_are_grouped_by_diagonal() -> None:
    rng = np.random.default_rng(0)
    rows = {f"{a}-{b}": counted(rng.random(30) < 0.5) for a in ("en", "de") for b in ("en", "de")}
    found = compare([rows], [rows], ACCURACY)
    assert {name: row.languages for name, row in found.groups.items()} == {DIAGONAL: 2, OFF_DIAGONAL: 2, "all languages": 4}


def test_languages_are_grouped_as_such_whatever_their_codes() -> None:
    rng = np.random.default_rng(0)
    rows = {code: counted(rng.random(30) < 0.5) for code in ("de-DE", "sw-KE", "yo-NG", "simple")}
    found = compare([rows], [rows], ACCURACY, ["en"])
    assert {name: row.languages for name, row in found.groups.items()} == {
        "unseen": 1,
        "low": 1,
        "high": 2,
        "not trained on": 3,
        "all languages": 4,
    }


def test_rows_of_mining_add_up() -> None:
    foreign = [("foreign", Sentence(id=f"f{n}", text=f"f{n}", gold=f"e{n}" if n < 4 else "")) for n in range(6)]
    english = [("english", Sentence(id=f"e{n}", text=f"e{n}", gold="")) for n in range(6)]
    family = family_of(task("bucc2018"))
    predictions = ["f0\te0", "f1\te2", "f5\te5"]
    rows = family.per_example(predictions, [*foreign, *english], "de")
    assert rows is not None
    assert rows.sum(axis=0).tolist() == [1, 3, 4]
    assert rows.shape == (6, 3)
    assert mining.PAIR_F1.of_rows(rows) == family.score(predictions, [*foreign, *english], "de")


def test_a_language_that_either_side_was_trained_on_is_not_unseen(runs: list[Path], root: Path, tmp_path: Path) -> None:
    more = make_run(tmp_path / "more", root, 0.5, 3, trained_on=("de", "en"))
    counts = []
    for words in ([runs[0], runs[2]], [runs[0], more], [more, runs[0]]):
        done = CliRunner().invoke(main, ["compare", *map(str, words), "--task", "xnli"], env={"COLUMNS": "120"})
        assert done.exit_code == 0, done.output
        counts.append(int(done.output.split("not trained on (")[1].split(")")[0]))
    assert counts == [counts[0], counts[0] - 1, counts[0] - 1]


def test_scores_of_two_splits_are_not_compared(runs: list[Path], root: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", root, 0.5, 3, split="dev")
    done = CliRunner().invoke(main, ["compare", str(runs[0]), str(other), "--task", "xnli"])
    assert done.exit_code == 2
    assert "xnli: some were scored on dev, some on test" in done.output


def test_a_star_needs_the_interval_and_the_correction() -> None:
    row = Compared(1, 0, Interval(1, 0.5, 1.5, 0.04), 0.2, 9)
    assert not row.shown
    assert replace(row, p=0.04).shown
    assert not replace(row, p=0.04, interval=Interval(1, -0.5, 1.5, 0.04)).shown


def test_command(runs: list[Path], tmp_path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(main, ["compare", str(runs[0]), str(runs[2]), "--also-a", str(runs[1]), "--also-b", str(runs[3])])
    assert done.exit_code == 0, done.output
    for name in TASKS:
        assert f"{name} (" in done.output
    assert "A - B" in done.output
    assert "approximate randomisation" in done.output
    one = runner.invoke(main, ["compare", str(runs[0]), str(runs[2]), "--task", "xcopa"])
    assert "xquad" not in one.output
    for words, message in (
        ([runs[0], runs[2], "--task", "xcopaa"], "unknown task of both runs 'xcopaa': did you mean 'xcopa'?"),
        ([runs[0], tmp_path], "is no run folder with scores"),
        ([runs[0], runs[2], "--also-a", runs[1]], "2 against 1 seeds"),
    ):
        done = runner.invoke(main, ["compare", *map(str, words)])
        assert done.exit_code == 2
        assert message in done.output


def test_who_is_compared_how_they_differ_and_how_far_that_goes(runs: list[Path], root: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", root, 0.9, 7)
    description = yaml.safe_load((other / "config.yaml").read_text())
    description["model"] = {"backbone": "y", "dropout": 0.2}
    (other / "config.yaml").write_text(yaml.safe_dump(description))
    said = CliRunner().invoke(main, ["compare", str(runs[0]), str(other)]).output
    assert f"A: {runs[0].name}, seed 1 ({runs[0]})\nB: other, seed 1 ({other})\n" in said
    assert "A | B differ in: model.backbone x | y; model.dropout – | 0.2\n" in said
    assert "One seed a side: about these two models, not about training." in said
    assert "uncorrected" in said
    assert "< 0.001" in said
    assert "0.000" not in said
    words = [str(runs[0]), str(other), "--also-a", str(runs[1]), "--also-b", str(runs[3])]
    assert "One seed" not in CliRunner().invoke(main, ["compare", *words]).output
    found = json.loads(CliRunner().invoke(main, ["compare", *words, "--json"]).output)
    row = found["tasks"][0]["groups"]["all languages"]
    assert keys_of(found) | set(row) <= json_keys("compare")
    assert found["differ"]["model.dropout"] == {"a": None, "b": 0.2}
    status = json.loads(CliRunner().invoke(main, ["status", *map(str, runs), "--json"]).output)
    assert keys_of(status) <= json_keys("status")
    assert [one["folder"] for one in status["runs"]] == list(map(str, runs))
