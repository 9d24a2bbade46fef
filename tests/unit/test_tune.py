"""xdist tune without training: what it tries, by what it judges, what it writes and what it refuses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from study_folder import finished, gold
from tiny import tiny_benchmark, tiny_model

from xdist.cli import main
from xdist.config import load_run
from xdist.errors import UserError
from xdist.files import read_json
from xdist.study.state import standings
from xdist.study.trials import next_rates, trial_lines
from xdist.study.tuning import Grid, Tuning

RUN = """\
# my task
name: mine/topics
folder: {folder}/mine
model: {{backbone: {folder}/encoder}}
data: {{root: {folder}/gold, cache: {folder}/prepared}}
train:
  tasks: [{{task: cldr-topic, languages: [de, en]}}]
  epochs: 3 # a comment
  learning_rate: 2e-5
evaluate: {{tasks: [cldr-topic], languages: all}}
"""
RIGHT = {"2e-5": 0.4, "1e-4": 0.8, "3e-4": 0.3}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    tiny_model(folder / "encoder", tiny_benchmark(folder / "data"))
    gold(folder / "gold")
    return folder


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    file = tmp_path / "run.yaml"
    file.write_text(RUN.format(folder=made).replace(f"{made}/mine", f"{tmp_path}/mine"))
    return file


def right(values: Mapping[str, str], code: str) -> float:
    return RIGHT[values["learning_rate"]]


def tuned(path: Path, *overrides: str, **grid: Any) -> Tuning:
    return Tuning(path, overrides, Grid(**grid), None)


def done(path: Path, **grid: Any) -> Tuning:
    """With every trial finished."""
    tuning = tuned(path, **grid)
    tuning.begin()
    finished(tuning.study, right)
    return tuning


def test_the_usual_rates_and_the_runs_own_on_english_dev(path: Path) -> None:
    tuning = tuned(path)
    assert [one["learning_rate"] for one in tuning.trials] == [2e-5, 8e-5, 3e-4]
    assert tuning.judged_on == "cldr-topic dev en"
    for node in tuning.graph.nodes.values():
        assert node.run.evaluate
        assert (node.run.evaluate.split, node.run.evaluate.languages) == ("dev", ("en",))
        assert {subset.split for subset in node.resolved.subsets.evaluation} == {"dev"}
        assert node.run.train
        assert (node.run.train.epochs, node.run.folder.parent.parent) == (3, path.parent / "mine-tune")
    assert not tuning.folder.exists()  # nothing is written before it begins


def test_what_the_runs_own_folder_holds_does_not_matter(path: Path) -> None:
    folder = path.parent / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("somebody else's")
    assert tuned(path, "train.steps=7", "train.epochs=null").judged_on == "cldr-topic dev en"


def test_a_grid_is_a_product_and_trials_have_keys_of_their_own(path: Path) -> None:
    tuning = tuned(path, rates=(1e-4, 3e-4, 1e-4), steps=(10, 20), warmups=(0, 0.1), seeds=2)
    assert len(tuning.trials) == 2 * 2 * 2
    assert len(tuning.graph.nodes) == 8 * 2
    assert {(node.run.train.steps, node.run.train.epochs) for node in tuning.graph.nodes.values() if node.run.train} == {
        (10, None),
        (20, None),
    }
    wider = tuned(path, rates=(1e-5, 1e-4, 3e-4), steps=(10, 20), warmups=(0, 0.1), seeds=2)
    assert set(tuning.graph.nodes) < set(wider.graph.nodes)  # what was tried is not tried again


def test_the_best_is_written_with_what_was_tried(path: Path) -> None:
    tuning = done(path, rates=(2e-5, 1e-4, 3e-4))
    trials = tuning.judged(standings(tuning.graph, tuning.facts))
    assert trials[0].changes == {"learning_rate": 1e-4}
    assert [one.score for one in trials] == sorted((one.score for one in trials if one.score), reverse=True)
    assert trials[0].behind is None
    for one in trials[1:]:
        assert one.behind
        assert one.behind.low < one.behind.difference < one.behind.high < 0
    tuning.write(trials, force=False)
    text = tuning.out.read_text()
    assert tuning.out == path.with_name("run-tuned.yaml")
    for line in (
        f"# Made by: xdist tune {path}",
        "trials on cldr-topic dev en, 1 seed",
        *(f"#   {line}" for line in trial_lines(trials)),
    ):
        assert line in text
    best, before = load_run(tuning.out), load_run(path)
    assert (best.name, best.folder) == ("mine/topics-tuned", Path(f"{before.folder}-tuned"))
    assert best.train
    assert before.train
    assert best.train == before.train.model_copy(update={"learning_rate": 1e-4})
    assert (best.model, best.data, best.evaluate, best.runtime) == (before.model, before.data, before.evaluate, before.runtime)
    facts = tuning.facts_of(trials)
    assert facts["best"] == {"learning_rate": 1e-4}
    assert [one["learning_rate"] for one in facts["trials"]] == [one.changes["learning_rate"] for one in trials]
    assert next_rates(trials) == ""


def test_only_the_dev_sets_that_are_named_choose(path: Path) -> None:
    """Not a task in the language of another one, which trials score too."""
    override = "train.tasks=[{task: cldr-topic, languages: [de]}, {task: pawsx, languages: [en]}]"
    tuning = Tuning(path, (override,), Grid(rates=(2e-5, 1e-4)), None)
    assert tuning.judged_on == "cldr-topic dev de, pawsx dev en"
    tuning.begin()
    finished(tuning.study, right)
    trials = tuning.judged(standings(tuning.graph, tuning.facts))
    means = {}
    for node in tuning.graph.nodes.values():
        tasks = read_json(node.resolved.folder.scores)["tasks"]
        named = [tasks[name]["languages"][code]["accuracy"] for name, code in (("cldr-topic", "de"), ("pawsx", "en"))]
        assert node.run.train
        means[node.run.train.learning_rate] = sum(named) / 2
    assert {one.changes["learning_rate"]: one.score for one in trials} == pytest.approx(means)
    assert trials[1].behind
    assert trials[1].behind.difference == pytest.approx(means[2e-5] - means[1e-4])


def test_the_end_of_the_grid_is_told(path: Path) -> None:
    tuning = done(path, rates=(3e-4, 2e-5, 1e-4))
    trials = tuning.judged(standings(tuning.graph, tuning.facts))
    swapped = [trials[-1], *trials[:-1]]
    assert swapped[0].changes == {"learning_rate": 3e-4}
    assert next_rates(swapped) == "the best rate is the highest that was tried: --rates 3e-4,9e-4"


def test_what_failed_is_told_and_others_are_judged(path: Path) -> None:
    tuning = done(path, rates=(2e-5, 1e-4))
    node = next(node for node in tuning.graph.nodes.values() if node.run.train and node.run.train.learning_rate == 1e-4)
    node.resolved.folder.mark("failed", "loss is not finite")
    trials = tuning.judged(standings(tuning.graph, tuning.facts))
    assert [one.changes["learning_rate"] for one in trials] == [2e-5, 1e-4]
    assert trial_lines(trials)[1] == "learning_rate=1e-4: loss is not finite"


def test_the_command_takes_up_what_is_there_and_overwrites_nothing(path: Path) -> None:
    tuning = done(path, rates=(2e-5, 1e-4))

    def typed(*words: str) -> Any:
        return CliRunner().invoke(main, ["tune", str(path), "--rates", "2e-5,1e-4", *words])

    first = typed()
    assert first.exit_code == 0, first.output
    assert first.output.splitlines()[-1] == f"xdist train {tuning.out}"
    assert "learning_rate=1e-4: " in first.output.splitlines()[1]
    assert typed().exit_code == 0  # the same again
    assert read_json(tuning.folder / "tune.json")["best"] == {"learning_rate": 1e-4}
    tuning.out.write_text("mine")
    again = typed()
    assert (again.exit_code, tuning.out.read_text()) == (2, "mine")
    assert again.output.splitlines()[-1] == (
        f"xdist: {tuning.out}: already exists; --force overwrites it, --out FILE writes another file"
    )
    assert typed("--force").exit_code == 0
    assert "1e-4" in tuning.out.read_text()
    more = CliRunner().invoke(main, ["tune", str(path), "--rates", "2e-5,1e-4,1e-3"])
    assert (more.exit_code, "already exists" in more.output) == (2, True)  # before anything is trained
    dry = CliRunner().invoke(main, ["tune", str(path), "--rates", "2e-5,1e-3", "--dry-run", "--out", "other.yaml"])
    assert "trial-2e-5-s1: finished" in dry.output
    assert "trial-1e-3-s1: waiting" in dry.output


@pytest.mark.parametrize(
    "overrides, words, message",
    [
        (["train.select={every: 5, languages: [sw]}"], [], "train.select.languages.0: cldr-topic is not trained in 'sw'"),
        (["train.tasks=[{task: tydiqa}]"], [], "no such file"),
        ([], ["--steps", "10", "--budget", "29"], "--budget 29: 3 runs of 30 updates in all are more"),
        ([], ["--budget", "3"], "--budget: how long a trial is, is not known yet: prepare the data first, or give --steps"),
        ([], ["--epochs", "1", "--steps", "3"], "give either --epochs or --steps"),
        ([], ["--rates", "0"], "is 1e-09 or more"),
        ([], ["--rates", "1e-5;2"], "is not a list of numbers such as 1e-5,3e-5"),
        (["train.learning_rate=-1"], [], "train.learning_rate: "),
        (["train=null"], [], "has no section 'train'"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(path: Path, overrides: list[str], words: list[str], message: str) -> None:
    refused = CliRunner().invoke(main, ["tune", str(path), *overrides, *words])
    assert refused.exit_code == 2
    assert message in refused.output
    assert not (path.parent / "mine-tune").exists()


def test_dev_of_select_alone_counts(path: Path) -> None:
    assert tuned(path, "train.select={every: 5, languages: [de, en]}").judged_on == "cldr-topic dev de, cldr-topic dev en"
    assert tuned(path, "train.tasks.0.languages=[tr, de]").judged_on == "cldr-topic dev tr, cldr-topic dev de"


def test_a_dev_set_that_is_the_test_set_judges_nothing(path: Path) -> None:
    train, test = "cldr-topic/train-{language}.tsv", "cldr-topic/test-{language}.tsv"
    for name, more, message in (
        ("twice", {"dev": test}, "twice: its dev set in en is of its test set, by which nothing is chosen"),
        ("none", {}, "no trained task has a dev set that is scored"),
    ):
        task = {"family": "classification", "languages": ["en"], "labels": ["a"], "texts": 1}
        tasks = path.with_name(f"{name}.yaml")
        tasks.write_text(yaml.safe_dump({"tasks": {name: {**task, "files": {"train": train, "test": test, **more}}}}))
        with pytest.raises(UserError, match=message):
            tuned(path, f"data.tasks={tasks}", f"train.tasks=[{{task: {name}}}]", "evaluate=null")
