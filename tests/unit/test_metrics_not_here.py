"""Folders that were scored by a metric of another's: compared where it is registered, and where it is not, it is said."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from test_metrics_own import BALANCED, LABELS, answers, balanced_accuracy, registering

from xdist.cli import main
from xdist.errors import UserError
from xdist.evaluation import submission
from xdist.evaluation.per_example import Gold, scored_tasks
from xdist.evaluation.scores import Scores
from xdist.files import read_json
from xdist.metrics import metric
from xdist.report.reading import read_scores
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

CODES = ("sw", "de")
MISSING = "news: metric 'balanced-accuracy' is not installed here"
DESCRIBED = {
    "family": "classification",
    "languages": list(CODES),
    "labels": list(LABELS),
    "texts": 1,
    "files": {"train": "{language}.tsv", "test": "{language}.tsv"},
}


@pytest.fixture
def installed() -> Iterator[None]:
    with registering(BALANCED):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `a` and `b`, scored on `news` by balanced-accuracy and on `topics` by accuracy, with equal predictions for both."""
    folder, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(3)
    tasks = {"news": {**DESCRIBED, "metric": "balanced-accuracy"}, "topics": DESCRIBED}
    (folder / "tasks.yaml").write_text(yaml.safe_dump({"tasks": tasks}))
    for code in CODES:
        lines = [f"text {number}\t{label}" for number, label in enumerate(answers(rng, 90, 1))]
        (folder / f"{code}.tsv").write_text("\n".join(lines) + "\n")
    with registering(BALANCED):
        for name, right in (("a", 0.9), ("b", 0.4)):
            evaluated(folder, name, right, rng)
    return folder


def evaluated(folder: Path, name: str, right: float, rng: np.random.Generator) -> None:
    (folder / name).mkdir()
    data = {"root": str(folder), "tasks": str(folder / "tasks.yaml")}
    config = {"name": name, "folder": str(folder / name), "model": {"backbone": name}, "data": data}
    (folder / name / "config.yaml").write_text(yaml.safe_dump({**config, "evaluate": {"tasks": ["news", "topics"]}}))
    scores = Scores(folder / name / "scores.json", name)
    said = {code: answers(rng, 90, right, gold_of(folder, code)) for code in CODES}
    for entry in (task(one, folder / "tasks.yaml") for one in ("news", "topics")):
        found = {}
        for code, predictions in said.items():
            submission.write_predictions(
                submission.predictions_path(folder / name / "predictions", entry, "test", code), entry, predictions
            )
            examples = list(entry.examples(folder, "test", code))
            found[code] = {**family_of(entry).score(predictions, examples, code), "count": len(examples)}
        scores.add(entry, "test", [], found)


def gold_of(folder: Path, code: str) -> list[str]:
    return [line.split("\t")[1] for line in (folder / f"{code}.tsv").read_text().splitlines()]


def said_by(folder: Path, run: str, code: str) -> list[str]:
    return (folder / run / f"predictions/news/test-{code}.tsv").read_text().split()


def typed(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words)], env={"COLUMNS": "120"})


def test_scores_say_what_they_were_made_by(folder: Path) -> None:
    entry = read_json(folder / "a/scores.json")["tasks"]["news"]
    assert (entry["metric"], entry["scored_by"]) == ("balanced_accuracy", "balanced-accuracy")
    assert entry["languages"]["sw"]["balanced_accuracy"] == pytest.approx(
        balanced_accuracy(said_by(folder, "a", "sw"), gold_of(folder, "sw"))
    )


def test_where_it_is_registered_two_runs_differ_as_their_scores_do(folder: Path, installed: None) -> None:
    done = typed("compare", folder / "a", folder / "b")
    assert done.exit_code == 0, done.output
    table = done.output[done.output.index("news (balanced_accuracy, test)") :]
    for code in CODES:
        row = next(line for line in table.splitlines() if f" {code} " in line)
        first, second = (balanced_accuracy(said_by(folder, run, code), gold_of(folder, code)) for run in "ab")
        assert f"{first:.1f}" in row
        assert f"{second:.1f}" in row
        assert f"{first - second:+.1f}" in row


def test_where_it_is_not_the_other_tasks_are_compared(folder: Path) -> None:
    done = typed("compare", folder / "a", folder / "b")
    assert done.exit_code == 0, done.output
    assert done.output.count(MISSING) == 1
    assert "topics (accuracy, test)" in done.output
    assert "news (" not in done.output
    done = typed("compare", folder / "a", folder / "b", "--task", "news")
    assert (done.exit_code, done.output.count("\n"), MISSING in done.output) == (2, 1, True), done.output


def test_reports_say_so_and_show_what_was_written(folder: Path, tmp_path: Path) -> None:
    done = typed("report", folder / "a", "--out", tmp_path / "one")
    assert done.exit_code == 0, done.output
    line = f"{MISSING}; its scores are shown as they were written"
    assert line in done.output
    assert read_json(tmp_path / "one/report.json")["notes"] == [line]
    assert "is not installed here" in (tmp_path / "one/report.html").read_text(encoding="utf-8")
    written = read_json(folder / "a/scores.json")["tasks"]["news"]["mean"]["balanced_accuracy"]
    assert f"{written:.1f}" in (tmp_path / "one/report.md").read_text(encoding="utf-8")
    done = typed("report", folder / "a", "--against", folder / "b", "--out", tmp_path / "two")
    assert done.exit_code == 0, done.output
    content = read_json(tmp_path / "two/report.json")
    assert "news is skipped: metric 'balanced-accuracy' is not installed here" in content["notes"]
    assert {name for row in content["tasks"] for name in row["tasks"]} == {"topics"}


def test_a_report_on_nothing_else_is_one_line(folder: Path, tmp_path: Path) -> None:
    for run in "ab":
        (tmp_path / run).mkdir()
        (tmp_path / run / "config.yaml").write_text((folder / run / "config.yaml").read_text())
        scores = read_json(folder / run / "scores.json")
        scores["tasks"].pop("topics")
        (tmp_path / run / "scores.json").write_text(json.dumps(scores))
    done = typed("report", tmp_path / "a", "--against", tmp_path / "b", "--out", tmp_path / "out")
    assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
    assert "news is skipped: metric 'balanced-accuracy' is not installed here" in done.output
    assert not (tmp_path / "out").exists()


def test_a_task_that_is_not_here_is_said_too(folder: Path, tmp_path: Path, installed: None) -> None:
    (tmp_path / "config.yaml").write_text((folder / "a/config.yaml").read_text())
    scores = read_json(folder / "a/scores.json")
    scores["tasks"]["weather"] = scores["tasks"].pop("news")
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    (tmp_path / "predictions").symlink_to(folder / "a/predictions")
    assert scored_tasks(tmp_path, Gold())["weather"].absent == "task 'weather' is not installed here"


def test_folders_are_looked_at_by_what_scored_them_whatever_the_file_of_tasks_says_today(folder: Path, tmp_path: Path) -> None:
    for run in "ab":
        (tmp_path / run).mkdir()
        (tmp_path / run / "config.yaml").write_text((folder / run / "config.yaml").read_text())
        (tmp_path / run / "predictions").symlink_to(folder / run / "predictions")
        scores = read_json(folder / run / "scores.json")
        scores["tasks"]["news"] = scores["tasks"].pop("topics")
        (tmp_path / run / "scores.json").write_text(json.dumps(scores))
    done = typed("compare", tmp_path / "a", tmp_path / "b")
    assert done.exit_code == 0, done.output
    assert "news (accuracy, test)" in done.output


def test_where_it_is_not_a_run_of_ones_own_names_the_line(folder: Path) -> None:
    for command in ("evaluate", "train"):
        more = ["train={tasks: [{task: news, languages: [sw]}], steps: 1}"] if command == "train" else []
        done = typed(command, folder / "a/config.yaml", "--dry-run", f"folder={folder / 'new'}", *more)
        assert done.exit_code == 2, done.output
        assert "tasks.news.metric: unknown metric 'balanced-accuracy'" in done.output
        assert f"{folder / 'tasks.yaml'}:" in done.output
        assert done.output.count("\n") == 1


def test_scores_by_another_metric_are_made_again_and_not_compared(folder: Path, tmp_path: Path, installed: None) -> None:
    values = read_json(folder / "a/scores.json")
    values["tasks"]["news"] |= {"metric": "accuracy", "scored_by": "accuracy"}
    (tmp_path / "scores.json").write_text(json.dumps(values))
    news, topics = (task(name, folder / "tasks.yaml") for name in ("news", "topics"))
    scores = Scores(tmp_path / "scores.json", "a")
    assert [scores.of(one, "test", "sw") is not None for one in (news, topics)] == [False, True]
    (tmp_path / "config.yaml").write_text((folder / "a/config.yaml").read_text())
    (tmp_path / "predictions").symlink_to(folder / "a/predictions")
    done = typed("compare", tmp_path, folder / "b", "--task", "news")
    assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
    assert "news: some were scored by accuracy, some by balanced-accuracy; evaluate those again" in done.output
    done = typed("report", tmp_path, "--against", folder / "b", "--out", tmp_path / "out")
    assert (done.exit_code, "news was scored by" in done.output) == (2, True), done.output


def test_scores_of_version_0_1_0_do_not_say_what_they_were_made_by(tmp_path: Path) -> None:
    """It scored the tagging of your own task as it did the official ones; all other numbers are the same today."""
    ner = {"family": "tagging", "languages": ["sw"], "labels": ["O", "B-PER", "I-PER"], "files": {"test": "{language}.tsv"}}
    (tmp_path / "tasks.yaml").write_text(yaml.safe_dump({"tasks": {"ner": ner, "news": DESCRIBED}}))
    entries = [task(name, tmp_path / "tasks.yaml") for name in ("ner", "news", "panx", "xnli")]
    written = {"split": "test", "trained_on": [], "languages": {"sw": {"f1": 9.0, "count": 4}}, "mean": {"f1": 9.0}}
    scores = {entry.name: {"family": entry.family, "metric": "f1", **written} for entry in entries}
    (tmp_path / "scores.json").write_text(json.dumps({"run": "old", "tasks": scores}))
    found = Scores(tmp_path / "scores.json", "old")
    assert [found.of(entry, "test", "sw") is not None for entry in entries] == [False, True, True, True]
    assert not read_scores([tmp_path]).unknown
    with pytest.raises(UserError, match="unknown metric"):
        metric("f1")
