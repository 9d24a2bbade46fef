"""Sets of rare languages through score, compare and report, by the metrics of their papers."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from xdist.cli import main
from xdist.evaluation import submission
from xdist.evaluation.scores import Scores
from xdist.files import read_json
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

SENTIMENT = ("negative", "neutral", "positive")
NAMES = {"nusax": ("ace", "bbc"), "afrisenti": ("hau", "twi"), "flores200": ("yor_Latn", "ace_Arab"), "mine": ("sw", "ha")}
MINE = {
    "family": "classification",
    "languages": ["sw", "ha"],
    "files": {"test": "mine/{language}.csv"},
    "columns": {"text": "text", "label": "label"},
    "labels": list(SENTIMENT),
    "metric": "mcc",
}
SIZE = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark and two runs, of which `a` is the better one."""
    folder, rng = tmp_path_factory.mktemp("rare"), np.random.default_rng(3)
    (folder / "tasks.yaml").write_text(yaml.safe_dump({"tasks": {"mine": MINE}}))
    for code in NAMES["nusax"]:
        rows = [f'{n},"a, ""text""",{label}' for n, label in enumerate(drawn(rng))]
        written(folder / f"nusax/datasets/sentiment/{task('nusax').names[code]}/test.csv", ["id,text,label", *rows])
    for code in NAMES["afrisenti"]:
        written(folder / f"afrisenti/data/{code}/test.tsv", ["tweet\tlabel", *(f"x\t{label}" for label in drawn(rng))])
    for code in NAMES["mine"]:
        written(folder / f"mine/{code}.csv", ["text,label", *(f"x,{label}" for label in drawn(rng))])
    for code in (*NAMES["flores200"], "eng_Latn"):
        written(folder / f"flores200_dataset/devtest/{code}.devtest", [f"{code} {n}" for n in range(SIZE)])
    for run, right in (("a", 0.9), ("b", 0.5)):
        predicted(folder, run, right, rng)
    return folder


def drawn(rng: np.random.Generator) -> list[str]:
    return rng.choice(SENTIMENT, size=SIZE, p=(0.6, 0.3, 0.1)).tolist()


def written(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def predicted(folder: Path, run: str, right: float, rng: np.random.Generator) -> None:
    data = {"root": str(folder), "tasks": str(folder / "tasks.yaml")}
    config = {"name": run, "folder": str(folder / run), "model": {"backbone": run}, "data": data}
    written(folder / run / "config.yaml", [yaml.safe_dump({**config, "evaluate": {"tasks": list(NAMES)}})])
    scores = Scores(folder / run / "scores.json", run)
    for name, codes in NAMES.items():
        entry, found = task(name, folder / "tasks.yaml"), {}
        for code in codes:
            examples = list(entry.examples(folder, "test", code))
            if name == "flores200":
                said = [ranking(rng, n, right) for _ in "ab" for n in range(SIZE)]
            else:
                said = [one.label if rng.random() < right else rng.choice(SENTIMENT) for one in examples]
            submission.write_predictions(
                submission.predictions_path(folder / run / "predictions", entry, "test", code), entry, said
            )
            found[code] = {**family_of(entry).score(said, examples, code), "count": SIZE}
        scores.add(entry, "test", [], found)


def ranking(rng: np.random.Generator, gold: int, right: float) -> list[int]:
    """Ten rows, of which the right one is first, somewhere, or absent."""
    others = rng.permutation([row for row in range(SIZE) if row != gold])[:10].tolist()
    place = 0 if rng.random() < right else int(rng.integers(1, 20))
    return [*others[:place], gold, *others[place:]][:10]


def typed(*words: object) -> Result:
    done = CliRunner().invoke(main, [*map(str, words)], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    return done


def test_scores_are_those_of_scikit_learn(folder: Path) -> None:
    scores = read_json(folder / "a/scores.json")["tasks"]
    expected = {"nusax": "macro", "afrisenti": "weighted", "mine": None}
    for name, average in expected.items():
        entry = task(name, folder / "tasks.yaml")
        for code in NAMES[name]:
            gold = [one.label for one in entry.examples(folder, "test", code)]
            said = (folder / f"a/predictions/{name}/test-{code}.tsv").read_text().split()
            number = 100 * (f1_score(gold, said, average=average) if average else matthews_corrcoef(gold, said))
            assert scores[name]["languages"][code][scores[name]["metric"]] == pytest.approx(number)
            assert scores[name]["languages"][code]["accuracy"] == pytest.approx(100 * accuracy_score(gold, said))
    assert {name: entry["metric"] for name, entry in scores.items()} == {
        "nusax": "macro_f1",
        "afrisenti": "weighted_f1",
        "flores200": "f1",
        "mine": "mcc",
    }


def test_two_runs_are_compared_with_intervals(folder: Path) -> None:
    found = typed("compare", folder / "a", folder / "b").output
    scores = [read_json(folder / run / "scores.json")["tasks"] for run in "ab"]
    for name, codes in NAMES.items():
        number = scores[0][name]["metric"]
        table = found[found.index(f"{name} ({number}, test)") :]
        for code in codes:
            row = next(line for line in table.splitlines() if f" {code} " in line)
            first, second = (one[name]["languages"][code][number] for one in scores)
            assert f"{first - second:+.1f}" in row


def test_a_report_shows_them(folder: Path, tmp_path: Path) -> None:
    typed("report", folder / "a", folder / "b", "--out", tmp_path / "report")
    page = (tmp_path / "report/report.md").read_text(encoding="utf-8")
    for name in NAMES:
        number = read_json(folder / "a/scores.json")["tasks"][name]["metric"].replace("_", r"\_")
        assert f"{name}, a ({number})" in page


def test_a_folder_of_predictions_is_scored(folder: Path, tmp_path: Path) -> None:
    words = ("--gold", folder, "--tasks", folder / "tasks.yaml", "--partial", "--out", tmp_path / "scores.json")
    typed("score", folder / "a/predictions", *words)
    found, run = (read_json(path)["tasks"] for path in (tmp_path / "scores.json", folder / "a/scores.json"))
    assert {name: entry["languages"] for name, entry in found.items()} == {name: run[name]["languages"] for name in NAMES}
