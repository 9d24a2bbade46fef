"""Distillation: the loss by hand, and teachers that cannot teach."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from batch_of import batch_of
from click.testing import CliRunner
from test_export import make_run
from tiny import tiny_model
from tiny_study import graph_of, named

from xdist.cli import main
from xdist.config import load_run
from xdist.config.distil import Distil
from xdist.errors import UserError
from xdist.tasks.catalog import task
from xdist.tasks.classification import Classification


def test_distil_mixes_the_label_and_the_teacher_by_hand() -> None:
    family = Classification(task("xnli"))
    batch = batch_of([[[0, 5, 2]], [[0, 6, 2]]], labels=[1, 0])
    logits = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
    plain = family.losses(logits, batch)
    family.distil = Distil(teacher="x", weight=0.25, temperature=2.0)
    assert torch.equal(family.losses(logits, batch), plain), "without a teacher's word, as in evaluation"
    batch.targets["teacher"] = torch.tensor([[1.0, 2.0, 0.0], [2.0, 0.0, 0.0]])
    found = family.losses(logits, batch)
    p, q = (batch.targets["teacher"][1] / 2).softmax(-1), (logits[1] / 2).softmax(-1)
    assert found[0] == pytest.approx(0.75 * float(plain[0])), "the same word is no distance"
    assert found[1] == pytest.approx(0.75 * float(plain[1]) + 0.25 * 4 * float((p * (p / q).log()).sum()), rel=1e-5)


@pytest.mark.parametrize(
    "tasks, teacher, message",
    [
        ([{"task": "cldr-topic"}], "spans", "holds no head 'cldr-topic' with the labels of 'cldr-topic' (it has: cldr-spans)"),
        ([{"task": "cldr-spans"}], "spans", "no task of classification is trained"),
        ([{"task": "cldr-topic"}], "nowhere", "holds no head 'cldr-topic'"),
    ],
)
def test_distil_from_what_cannot_teach_is_one_line(
    tmp_path: Path, data: Path, tasks: list[dict[str, Any]], teacher: str, message: str
) -> None:
    encoder = tiny_model(tmp_path / "encoder", data)
    make_run(tmp_path / "spans", encoder, ["cldr-spans"])
    run = {
        "name": "a",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": str(encoder)},
        "data": {"root": str(data)},
        "train": {"tasks": tasks, "steps": 1, "distil": {"teacher": str(tmp_path / teacher / "model")}},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    done = CliRunner().invoke(main, ["train", str(tmp_path / "run.yaml"), "--dry-run"])
    assert done.exit_code == 2
    assert "train.distil.teacher" in done.output
    assert message in done.output


@pytest.fixture
def with_teacher(described: dict[str, Any]) -> dict[str, Any]:
    """A study whose target learns from a stage next to it, or does not."""
    described["stages"]["target"].pop("after")
    taught = {"target": {"train.distil": {"stage": "intermediate", "weight": 0.5}}}
    described["axes"] = {"taught": {"none": {"intermediate": None}, "distil": taught}}
    return described


def test_distil_from_a_stage_waits_for_it(tmp_path: Path, with_teacher: dict[str, Any]) -> None:
    graph = graph_of(tmp_path, with_teacher)
    names = named(graph)
    teacher, student = (graph.nodes[names[name]] for name in ("intermediate-distil-s1", "target-distil-s1"))
    assert student.before == (teacher.key,)
    assert student.run.train
    assert student.run.train.distil == Distil(teacher=str(teacher.run.folder / "model"), weight=0.5)
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(student.run.dump()))
    assert load_run(tmp_path / "one.yaml").dump() == student.run.dump(), "a run of its own"
    other = graph_of(tmp_path, with_teacher, "stages.intermediate.set.train.learning_rate=1e-4")
    assert {node.stage for key, node in graph.nodes.items() if key not in other.nodes} == {"intermediate", "target"}
    assert names["target-none-s1"] in other.nodes
    with pytest.raises(UserError, match="'intermediate' is not used here, so there is nothing of it to learn from"):
        graph_of(tmp_path, with_teacher, "axes.taught.distil.intermediate=null")


def test_distil_from_a_stage_is_of_a_study(tmp_path: Path, data: Path) -> None:
    run = {
        "name": "a",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": str(tiny_model(tmp_path / "encoder", data))},
        "data": {"root": str(data)},
        "train": {"tasks": [{"task": "cldr-topic"}], "steps": 1, "distil": {"stage": "other"}},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    done = CliRunner().invoke(main, ["train", str(tmp_path / "run.yaml"), "--dry-run"])
    assert done.exit_code == 2
    assert "train.distil.stage: only a study has stages; give a teacher" in done.output
    with pytest.raises(ValueError, match="give either a teacher or, in a study, a stage"):
        Distil()


def test_distil_from_a_stage_for_each_language_of_a_branch(tmp_path: Path, with_teacher: dict[str, Any]) -> None:
    stages = with_teacher["stages"]
    set_to = {"train.tasks.0.languages": ["de"]}
    with_teacher["stages"] = {"intermediate": stages["intermediate"], "german": {"run": "intermediate.yaml", "set": set_to}}
    with_teacher["stages"]["target"] = stages["target"]
    teachers = {"languages": {"en": {"stage": "intermediate"}, "de": {"stage": "german"}}, "weight": 0.5, "labels": 1}
    with_teacher["axes"] = {"taught": {"all": {"target": {"train.distil": teachers}}}}
    graph = graph_of(tmp_path, with_teacher)
    names = named(graph)
    english, german, student = (graph.nodes[names[f"{name}-all-s1"]] for name in ("intermediate", "german", "target"))
    assert student.before == (english.key, german.key)
    assert student.run.train
    assert student.run.train.distil
    places = {code: one.model for code, one in student.run.train.distil.languages.items()}
    assert places == {"en": str(english.run.folder / "model"), "de": str(german.run.folder / "model")}
    assert student.run.train.distil.of_labels == 1
    assert set(places.values()) <= graph.needed, "their models are kept"
    other = graph_of(tmp_path, with_teacher, "stages.german.set.train.learning_rate=1e-4")
    assert {node.stage for key, node in graph.nodes.items() if key not in other.nodes} == {"german", "target"}
    with pytest.raises(UserError, match=r"train\.distil\.languages\.de\.stage: unknown earlier stage 'girman'"):
        graph_of(tmp_path, with_teacher, "axes.taught.all.target={train.distil: {languages: {de: {stage: girman}}}}")
