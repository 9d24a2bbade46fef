"""The presets of jobs/runs/intermediate: valid, and equal except for their tasks."""

from pathlib import Path

import pytest
from resolved_of import trained_of

from xdist.config import Run, load_run

FOLDER = Path(__file__).resolve().parents[2] / "jobs/runs/intermediate"
NAMES = ("english", "multilingual", "english+mlm", "multilingual+mlm")


def preset(name: str) -> Run:
    return load_run(FOLDER / f"{name}.yaml")


def test_they_differ_in_their_tasks_alone() -> None:
    runs = {name: preset(name) for name in NAMES}
    dumps = [run.dump() for run in runs.values()]
    for dump in dumps:
        del dump["name"], dump["folder"], dump["train"]["tasks"]
    assert all(dump == dumps[0] for dump in dumps)
    none = preset("none")
    assert none.train is None
    assert none.model == runs["english"].model
    assert none.evaluate == runs["english"].evaluate


@pytest.mark.parametrize("name", NAMES)
def test_tasks_languages_and_weights(name: str) -> None:
    run = preset(name)
    assert run.train
    subsets = trained_of(run)
    languages = {"en"} if name.startswith("english") else {"en", "de", "ru", "sw"}
    for task in ("multinli", "squad", "hellaswag"):
        assert {subset.language for subset in subsets if subset.task.name == task} == languages
    text = [subset.language for subset in subsets if subset.task.name == "mlm"]
    assert len(set(text)) == (50 if name.endswith("mlm") else 0)
    weights = {entry.task: entry.weight or 0 for entry in run.train.tasks}
    if text:
        assert weights["mlm"] / sum(weights.values()) == pytest.approx(0.2, abs=0.001)
