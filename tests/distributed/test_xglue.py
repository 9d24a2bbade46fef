"""XGLUE on ranks."""

import json
from pathlib import Path

import pytest
import yaml
from distributed.group import Group
from tiny import tiny_benchmark, tiny_model
from tiny_xglue import SOME, tiny_xglue

from xdist.evaluation.collected import collect_predictions
from xdist.evaluation.official import score_folder
from xdist.run.folder import RunFolder
from xdist.tasks.catalog import task
from xdist.tasks.catalog.xglue import UNDERSTANDING

STAGES = Path(__file__).with_name("ds_configs")
GOLDEN = Path(__file__).parents[1] / "unit/golden/ndcg_scikit_learn_1.9.1.jsonl"


@pytest.mark.parametrize("ranks", ["one", "two", "three"])
def test_ndcg_is_scikit_learns_wherever_the_rows_of_a_query_lie(ranks: str, request: pytest.FixtureRequest) -> None:
    group: Group = request.getfixturevalue(ranks)
    files = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    found, *others = group.run("xglue_cases.ndcg_of", files=files)
    for scores, file in zip(found, files, strict=True):
        assert scores == pytest.approx(file["scores"], abs=1e-12)
    assert others == [None] * len(others)


@pytest.fixture(scope="module")
def nine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that trains all nine and scores them in every language that has files."""
    folder = tmp_path_factory.mktemp("nine")
    root = tiny_xglue(tiny_benchmark(folder / "benchmark"))
    run = {
        "name": "nine",
        "folder": str(folder / "run"),
        "model": {"backbone": str(tiny_model(folder / "encoder", root)), "dropout": 0.0},
        "data": {"root": str(root), "cache": str(folder / "prepared"), "max_length": 48},
        "train": {
            "tasks": [{"task": name, "weight": 1} for name in UNDERSTANDING],
            "steps": 2,
            "batch_size": 18,
            "learning_rate": 1e-3,
            "select": {"every": 2},
        },
        "evaluate": {"tasks": list(UNDERSTANDING)},
        "runtime": {"deepspeed": str(STAGES / "zero2.json"), "micro_batch_tokens": 300, "eval_batch_tokens": 400},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(run))
    return path


def test_xglue_end_to_end(two: Group, one: Group, nine: Path, tmp_path: Path) -> None:
    """Prepared, trained, chosen on dev, predicted and scored on two ranks; one rank predicts the same, and its official folder
    is scored in the same way."""
    first, again = tmp_path / "two", tmp_path / "one"
    root = Path(yaml.safe_load(nine.read_text())["data"]["root"])
    assert two.run("whole_run", path=str(nine), overrides=[f"folder={first}"])[0]["finished"]
    one.run("evaluate_copy", path=str(nine), overrides=[f"folder={again}"], source=str(first / "model"))
    scores, repeated = (json.loads(RunFolder(folder).scores.read_text())["tasks"] for folder in (first, again))
    assert {name: set(entry["languages"]) for name, entry in scores.items()} == {
        name: set(SOME[name]) for name in UNDERSTANDING
    }
    assert scores == repeated
    assert {name: entry["metric"] for name, entry in scores.items()}["xglue-wpr"] == "ndcg"
    assert all(entry["trained_on"] == ["en"] and "selected_on" not in entry for entry in scores.values())
    cut = tmp_path / "cut"
    official = [f"folder={cut}", "evaluate={tasks: [xglue-mlqa], languages: [de], answers: official}"]
    one.run("evaluate_copy", path=str(nine), overrides=official, source=str(first / "model"))
    made = json.loads(RunFolder(cut).scores.read_text())["tasks"]["xglue-mlqa"]["made_of"]
    assert made["options"]["evaluate.answers"] == "official"
    assert scores["xglue-mlqa"]["made_of"]["options"]["evaluate.answers"] == "offsets"
    answers = [json.loads((place / "predictions/xglue-mlqa/test-de.json").read_text()) for place in (first, cut)]
    examples = {one.key: one.context.split() for one in task("xglue-mlqa").examples(root, "test", "de")}
    assert answers[0].keys() == answers[1].keys() == examples.keys()
    # Tiny contexts have no marks: pieces are found in their words, or complete words are taken.
    assert all(set(text.split()) <= set(examples[key]) or text in " ".join(examples[key]) for key, text in answers[1].items())
    collect_predictions([first], tmp_path / "official", "test")
    found = score_folder(tmp_path / "official", root, partial=True)["tasks"]
    assert {name: found[name]["languages"] for name in scores} == {name: entry["languages"] for name, entry in scores.items()}
