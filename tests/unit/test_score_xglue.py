"""The official folders of XGLUE: gold as predictions, the means, what the scorer of XGLUE takes and what it cannot."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from test_score_folder import gold_of
from tiny_xglue import SOME, pawsx_of, tiny_xglue

import xdist
from xdist.cli import main
from xdist.errors import UserError
from xdist.evaluation import submission, xglue
from xdist.evaluation.official import score_folder
from xdist.evaluation.scores import summarise_task
from xdist.files import write_json
from xdist.metrics import metric
from xdist.metrics.pooled import replicate
from xdist.report.results import Condition, Results, TaskResult
from xdist.report.task_table import official_mean, task_rows
from xdist.tasks.catalog import task
from xdist.tasks.catalog.xglue import FOLDERS, ROOT, UNDERSTANDING, averages
from xdist.tasks.family import family_of


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_xglue(tmp_path_factory.mktemp("xglue"))


def write_gold(folder: Path, root: Path, name: str, split: str = "test", official: bool = True) -> None:
    entry, path = task(name), xglue.predictions_path if official else submission.predictions_path
    for code in SOME[name]:
        examples = list(entry.examples(root, split, code))
        submission.write_predictions(path(folder, entry, split, code), entry, gold_of(entry, examples))


@pytest.fixture
def perfect(root: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "official"
    for name in UNDERSTANDING:
        write_gold(folder, root, name)
    return folder


def test_xglue_folders_are_scored_under_their_own_names(perfect: Path, root: Path) -> None:
    assert (perfect / "NER/de.prediction").read_text().startswith("I-LOC\nB-LOC\n\n")
    (perfect / "QG").mkdir()
    (perfect / "PAWSX/zh.prediction").write_text("0\n")
    scores = score_folder(perfect, root, partial=True)
    assert set(scores["tasks"]) == set(UNDERSTANDING)
    # A run whose gold is all zero scores 0, so nDCG of gold itself is 3 of 4.
    wanted = {name: 75.0 if name == "xglue-wpr" else 100.0 for name in UNDERSTANDING}
    assert {name: entry["mean"][entry["metric"]] for name, entry in scores["tasks"].items()} == pytest.approx(wanted)
    assert scores["notes"] == ["QG needs a decoder: skipped"]
    assert scores["tasks"]["xglue-pawsx"]["notes"] == ["PAWSX/zh.prediction is of no language of the task: skipped"]
    assert set(scores["tasks"]["xglue-pos"]["mean"]) >= {"precision", "accuracy"}
    # No task has all its languages here.
    assert {name: one["of"] for name, one in scores["averages"].items()} == {
        "xglue understanding": "0 of 9",
        "xglue unique": "0 of 4",
    }


def test_xglue_means_are_over_exactly_their_tasks() -> None:
    def entry(name: str, value: float) -> dict[str, dict[str, float]]:
        numbers = {"accuracy": value, "f1": value, "precision": value, "ndcg": value, "exact_match": 0.0}
        return dict.fromkeys(task(name).languages, numbers)

    published = dict(zip(UNDERSTANDING, (79.7, 79.6, 83.5, 66.0, 75.3, 90.1, 68.4, 73.9, 68.9), strict=True))
    tasks = {name: entry(name, value) for name, value in published.items()}
    found = averages(tasks)
    assert (round(found["understanding"].value or 0, 1), round(found["unique"].value or 0, 1)) == (76.2, 73.7)
    del tasks["xglue-ner"]
    found = averages(tasks)
    assert (str(found["understanding"]), found["understanding"].value) == ("8 of 9", None)
    assert found["unique"].value == pytest.approx(73.675)
    assert averages({"xnli": {}}) == {}


def test_xglue_tags_that_are_missing_at_the_end_are_o(perfect: Path, root: Path) -> None:
    path = perfect / "NER/de.prediction"
    text = path.read_text()
    path.write_text(text.replace("I-LOC\nB-LOC\n", "I-LOC\n", 1))
    found = score_folder(perfect, root, partial=True)["tasks"]["xglue-ner"]["languages"]["de"]
    assert found["precision"] == 100
    assert found["f1"] < 100
    path.write_text(text.replace("I-LOC\nB-LOC\n", "I-LOC\nB-LOC\nO\n", 1))
    with pytest.raises(UserError, match=r"NER/de.prediction:3: one tag too many: sentence 1 of 13 has 2 words"):
        score_folder(perfect, root, partial=True)
    path.write_text(text.replace("I-LOC\nB-LOC\n\n", "", 1))
    with pytest.raises(UserError, match=r"NER/de.prediction: 12 sentences, expected 13"):
        score_folder(perfect, root, partial=True)
    path.write_text(text.replace("I-LOC", "I-LOK", 1))
    with pytest.raises(UserError, match=r"NER/de.prediction:1: unknown tag 'I-LOK'"):
        score_folder(perfect, root, partial=True)


def test_xglue_pages_are_ranked_by_any_number(perfect: Path, root: Path) -> None:
    path = perfect / "WPR/it.prediction"
    labels = path.read_text().split()
    path.write_text("".join(f"{float(label) * 0.37 - 1:.3f}\n" for label in labels))
    assert score_folder(perfect, root, partial=True)["tasks"]["xglue-wpr"]["languages"]["it"]["ndcg"] == pytest.approx(75)
    path.write_text("".join(f"{label}\n" for label in ("good", *labels[1:])))
    with pytest.raises(UserError, match=r"WPR/it.prediction:1: 'good' is no number"):
        score_folder(perfect, root, partial=True)


def test_xglue_command_says_the_means(perfect: Path, root: Path) -> None:
    done = CliRunner().invoke(main, ["score", str(perfect), "--gold", str(root), "--partial"])
    assert done.exit_code == 0, done.output
    assert "XGLUE, test: understanding 0 of 9, unique 0 of 4" in done.output
    assert "XTREME-R" not in done.output
    shutil.copytree(perfect / "NC", perfect / "xglue-nc")
    done = CliRunner().invoke(main, ["score", str(perfect), "--gold", str(root), "--partial"])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "'xglue-nc' has two folders" in done.output


def run_folder(place: Path, root: Path, *names: str) -> Path:
    """What an evaluation of these tasks leaves, gold for predictions."""
    for name in names:
        write_gold(place / "predictions", root, name, official=False)
    config = {
        "name": place.name,
        "folder": str(place),
        "model": {"backbone": "x"},
        "data": {"root": str(root)},
        "evaluate": {"tasks": list(names)},
    }
    (place / "config.yaml").write_text(json.dumps(config))
    return place


def test_xglue_submission_is_written_and_read_back(root: Path, tmp_path: Path) -> None:
    first = run_folder(tmp_path / "tags", root, "xglue-ner", "xglue-pos")
    second = run_folder(tmp_path / "pages", root, "xglue-wpr", "xglue-mlqa")
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["submission", str(first), str(second), str(out)])
    assert done.exit_code == 0, done.output
    assert f"{out}/NER: 3 of 4 languages; missing: es" in done.output
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.prediction")) == sorted(
        f"{FOLDERS[name]}/{code}.prediction"
        for name in ("xglue-ner", "xglue-pos", "xglue-wpr", "xglue-mlqa")
        for code in SOME[name]
    )
    scores = score_folder(out, root, partial=True)
    assert scores["tasks"]["xglue-mlqa"]["mean"]["f1"] == 100
    for words, message in (
        ((first, second, out), f"{out}: already exists and is not empty"),
        ((first, first.parent / "none", tmp_path / "new"), "none: is no run folder with predictions"),
        ((first, run_folder(tmp_path / "more", root, "xglue-ner"), tmp_path / "new"), "give one run for each task"),
        ((first, tmp_path / "new", "--split", "dev"), "no predictions of dev"),
    ):
        done = CliRunner().invoke(main, ["submission", *map(str, words)])
        assert (done.exit_code, message in done.output, done.output.count("\n")) == (2, True, 1), done.output


# --- the published predictions of Unicoder, where they are ---------------------------------------------------------------
@pytest.mark.parametrize(
    "split, task_name, expected",
    [
        ("test", "xglue-pawsx", {"de": 87.10}),
        ("dev", "xglue-pawsx", {"de": 86.3, "en": 94.3, "fr": 89.5}),
        ("dev", "xglue-mlqa", {"de": 63.937344, "en": 79.878037, "hi": 65.221350}),
    ],
)
def test_xglue_published_predictions(
    shared_data: Path, tmp_path: Path, split: str, task_name: str, expected: dict[str, float]
) -> None:
    """The folder `evaluation` of microsoft/XGLUE, taken unchanged."""
    place = Path(os.environ.get("XDIST_TEST_XGLUE", shared_data / "xglue")) / f"Unicoder_prediction_on_XGLUE_{split}"
    if not place.is_dir():
        pytest.skip(f"no published predictions of XGLUE: set XDIST_TEST_XGLUE (looked in {place})")
    folder, gold = FOLDERS[task_name], tmp_path / "gold"
    shutil.copytree(place / folder, tmp_path / "predictions" / folder)
    for code in expected:
        if task_name == "xglue-pawsx":
            pawsx_of(shared_data / f"pawsx/{split}-{code}.tsv", gold / ROOT / f"PAWSX/{code}/{split}_2k.tsv")
        else:
            name = f"MLQA_V1/{split}/{split}-context-{code}-question-{code}.json"
            (target := gold / ROOT / "MLQA" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(shared_data / "mlqa" / name, target)
    for path in (tmp_path / "predictions" / folder).iterdir():
        if path.stem not in expected:
            path.unlink()
    found = score_folder(tmp_path / "predictions", gold, split, partial=True)["tasks"][task_name]  # type: ignore[arg-type]
    headline = found["metric"]
    assert {code: numbers[headline] for code, numbers in found["languages"].items()} == pytest.approx(expected, abs=1e-4)


# --- pairs of systems --------------------------------------------------------------------------------------------------------
def test_xglue_ndcg_is_compared_query_by_query(root: Path, tmp_path: Path) -> None:
    """Two run folders, one of which has gold for predictions: the difference is that of the scores."""
    folders = [run_folder(tmp_path / name, root, "xglue-wpr") for name in ("gold", "ties")]
    entry, tables = task("xglue-wpr"), []
    for number, folder in enumerate(folders):
        numbers = {}
        for code in SOME["xglue-wpr"]:
            examples = list(entry.examples(root, "test", code))
            predictions = [one.label if number == 0 else "1" for one in examples]
            submission.write_predictions(
                submission.predictions_path(folder / "predictions", entry, "test", code), entry, predictions
            )
            numbers[code] = {**family_of(entry).score(predictions, examples, code), "count": len(predictions)}
        tables.append(numbers)
        write_json(
            folder / "scores.json", {"run": folder.name, "tasks": {entry.name: summarise_task(entry, "test", ["en"], numbers)}}
        )
    (found,) = xdist.compare(folders[0], folders[1])
    assert (found.task, found.metric.headline) == ("xglue-wpr", "ndcg")
    assert found.comparison
    for code, one in found.comparison.languages.items():
        assert one.interval.difference == pytest.approx(tables[0][code]["ndcg"] - tables[1][code]["ndcg"])
    rows = family_of(entry).per_example(predictions, examples, code)
    assert rows is not None
    assert rows.shape == (4, 2)  # runs of 5, 2, 2 and 2 rows; the single row is left out


def test_xglue_average_of_a_study() -> None:
    """A study of XGLUE's tasks has their mean in its table, one of XTREME-R's has that, and other tasks have none."""
    numbers = {code: {"accuracy": 50.0, "count": 4} for code in task("xglue-nc").languages}
    rows = {("base", 1): {code: np.array([[2.0, 4.0]]) for code in numbers}}
    names = ("xglue-nc", "xnli", "cldr-topic")
    for name, official, done in zip(names, ("XGLUE", "XTREME-R", ""), ("1 of 9", "0 of 10", "0 of 10"), strict=True):
        replicated = replicate(dict(rows), metric("accuracy"), name, draws=10)
        one = TaskResult(name, "classification", metric("accuracy"), "test", ("en",), {("base", 1): numbers}, replicated)
        (row,) = task_rows(Results("t", (Condition("base", None, {}, (1,), ()),), (one,), ()))
        of = official_mean([name])
        assert (of.name if of else "", row.done, row.average) == (official, done, None)
