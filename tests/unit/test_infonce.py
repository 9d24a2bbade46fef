"""Training on parallel text: which sentences are distinguished, what the anchor holds, and what is refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from batch_of import batch_of
from click.testing import CliRunner
from tiny import tiny_model
from torch.nn.functional import cross_entropy, normalize

from xdist.cli import main
from xdist.config import Model as ModelSection
from xdist.config import Run, load_study
from xdist.config.parallel import Parallel
from xdist.data.batches import collate
from xdist.data.tokenizer import load_tokenizer
from xdist.formats.examples import Line
from xdist.model.encoder import load_encoder
from xdist.model.lineage import dump_lineage, stage_of
from xdist.model.model import Model
from xdist.study import Facts, expand
from xdist.tasks.batch import Batch, View
from xdist.tasks.catalog import task
from xdist.tasks.parallel import ParallelText, english_side, means, sides


def family(**options: Any) -> ParallelText:
    made = ParallelText(task("parallel"))
    made.options = Parallel(**options)
    return made


def rows(*pairs: tuple[list[int], list[int]]) -> list[dict[str, Any]]:
    return [{"tokens": [*one, *other], "lengths": [len(one), len(other)], "example": 0, "cut": 0} for one, other in pairs]


def batch(made: ParallelText, *pairs: tuple[list[int], list[int]], group: tuple[int, ...] = ()) -> Batch:
    return collate(rows(*pairs), list(range(len(pairs))), made, group=group or [0] * len(pairs))


def test_infonce_tells_apart_what_stands_in_its_group_once() -> None:
    """Rows 0 and 2 have the same English sentence: neither is a wrong answer of the other. Row 3 is of another group."""
    made = family(temperature=0.1, anchor=0)
    one = batch(
        made, ([0, 5, 2], [0, 6, 2]), ([0, 7, 2], [0, 8, 2]), ([0, 9, 2], [0, 6, 2]), ([0, 4, 2], [0, 3, 2]), group=(0, 0, 0, 1)
    )
    vectors = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    x, y = (normalize(side, dim=-1) for side in sides(vectors))
    logits = x @ y.T / 0.1
    found = made.losses(vectors, one)
    there = cross_entropy(logits[0, [0, 1]][None], torch.tensor([0]))
    back = cross_entropy(logits[[0, 1, 2], 0][None], torch.tensor([0]))
    assert found[0] == pytest.approx(float(there + back) / 2)
    assert found[1] == pytest.approx(
        float(cross_entropy(logits[1, :3][None], torch.tensor([1])) + cross_entropy(logits[:3, 1][None], torch.tensor([1]))) / 2
    )
    assert found[3] == pytest.approx(0.0), "nothing to be told apart from"


def test_infonce_of_one_scale_is_that_of_any(folders: Callable[[str], str]) -> None:
    made = family(anchor=0)
    one = batch(made, ([0, 5, 2], [0, 6, 2]), ([0, 7, 2], [0, 8, 2]))
    vectors = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(made.losses(vectors, one), made.losses(3 * vectors, one), atol=1e-6)


def test_the_anchor_holds_english_where_it_was() -> None:
    made = family(loss="l2")
    one = batch(made, ([0, 5, 2], [0, 6, 2]))
    vectors = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 5.0]])
    assert made.losses(vectors, one).tolist() == [1 + 4 + 1.0 * 9]
    assert family(loss="l2", anchor=0).losses(vectors[:2], one).tolist() == [5.0]
    assert family(loss="l2", anchor=0.5).losses(vectors, one).tolist() == [5 + 4.5]
    assert (Parallel().anchored, Parallel(loss="l2").anchored, Parallel(anchor=0).anchored) == (0.1, 1.0, 0.0)


def test_the_model_gives_both_sentences_and_the_anchor_s_english(folders: Callable[[str], str]) -> None:
    """The anchor is neither trained nor changed, in training it draws no dropout, and layers below the last are read
    complete."""
    place = folders("xlm-roberta")
    tokenizer, section = load_tokenizer(place), ModelSection(backbone=place)
    made = family(layer=2)
    model = Model(load_encoder(section, tokenizer, torch.float32), {"parallel": made}, 0)
    assert model.layers == {"parallel": 2}
    model.keep_anchor(load_encoder(section, tokenizer, torch.float32))
    model.train()
    assert model.anchor is not None
    assert not model.anchor.training
    one = batch(made, ([0, 5, 6, 2], [0, 6, 2]), ([0, 7, 2], [0, 8, 9, 4, 2]))
    with torch.no_grad():
        for value in model.encoder.parameters():
            value.mul_(1.01)
    (outputs,) = model(View(one))
    assert outputs.shape == (6, model.width)
    made.losses(outputs, one).sum().backward()
    assert all(value.grad is None for value in model.anchor.parameters())
    assert all(value.grad is not None for value in model.encoder.parameters()), "those of the layers above too"
    english = english_side(one)
    assert english.tokens.tolist() == [0, 6, 2, 0, 8, 9, 4, 2]
    plain = Model(load_encoder(section, tokenizer, torch.float32), {}, 0).eval()
    with torch.no_grad():
        assert torch.allclose(outputs[4:], means(plain.hidden(english, 2), english), atol=1e-6)
        moved = means(model.eval().hidden(replace(one, languages=None), 2), one)
    assert not torch.allclose(moved[1::2], outputs[4:], atol=1e-4)
    assert torch.equal(sides(moved)[1], moved[1::2])


def test_lines_become_rows_of_two_sentences(folders: Callable[[str], str]) -> None:
    tokenizer = load_tokenizer(folders("xlm-roberta"))
    lines = [
        Line(number=3, text="Mali Oman", new=True, translation="Peru"),
        Line(number=5, text="Chad", new=True, translation="yen"),
    ]
    found = list(family().encode(lines, tokenizer, 8))
    assert [row["example"] for row in found] == [2, 4]
    for row, line in zip(found, lines, strict=True):
        first = row["lengths"][0]
        assert row["tokens"][:first] == tokenizer(line.text)["input_ids"]
        assert row["tokens"][first:] == tokenizer(line.translation)["input_ids"]
    assert batch_of([[found[0]["tokens"]]]).lengths.tolist() == [sum(found[0]["lengths"])]


def test_test_sentences_are_no_training_text(tmp_path: Path, data: Path) -> None:
    """The same line at the check; a layer that is missing, too."""
    root = tmp_path / "data"
    (root / "parallel").mkdir(parents=True)
    for path in data.iterdir():
        (root / path.name).symlink_to(path)
    sentence = (root / "cldr-topic" / "test-en.tsv").read_text().splitlines()
    longest = max(sentence, key=len).split("\t")[0]
    (root / "parallel" / "de-en.tsv").write_text(f"Etwas ganz anderes\tSomething else\nIrgendetwas\t{longest.upper()}!\n")
    run = {
        "name": "a",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": str(tiny_model(tmp_path / "encoder", data))},
        "data": {"root": str(root), "cache": str(tmp_path / "prepared")},
        "train": {"tasks": [{"task": "parallel", "languages": ["de"]}, {"task": "cldr-topic"}], "steps": 1},
        "evaluate": {"tasks": ["cldr-topic"], "languages": ["en"]},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    done = CliRunner().invoke(main, ["train", str(tmp_path / "run.yaml"), "--dry-run"])
    assert done.exit_code == 2
    assert "parallel train de: 1 of 4 texts are sentences of what is evaluated" in done.output
    layer = CliRunner().invoke(main, ["train", str(tmp_path / "run.yaml"), "train.parallel.layer=9", "--dry-run"])
    assert "train.parallel.layer" in layer.output
    assert "there is no layer 9" in layer.output


def test_sentences_that_an_earlier_stage_was_trained_on_are_not_scored(tmp_path: Path, data: Path) -> None:
    """At the check of a study, at its start before any run, and at a start of the last run alone, by what its model says."""
    root = tmp_path / "data"
    (root / "parallel").mkdir(parents=True)
    for path in data.iterdir():
        (root / path.name).symlink_to(path)
    longest = max((line.split("\t")[0] for line in (root / "cldr-topic" / "test-en.tsv").open()), key=len)
    (root / "parallel" / "de-en.tsv").write_text(f"Etwas ganz anderes\tSomething else\nIrgendetwas\t{longest}!\n")
    common = {"model": {"backbone": str(tiny_model(tmp_path / "encoder", data))}}
    common |= {"data": {"root": str(root), "cache": str(tmp_path / "prepared")}}
    target = {"train": {"tasks": [{"task": "cldr-topic"}], "steps": 1}}
    study = {
        "name": "a",
        "folder": str(tmp_path / "study"),
        "stages": {
            "pairs": {"run": {**common, "train": {"tasks": [{"task": "parallel", "languages": ["de"]}], "steps": 1}}},
            "target": {"after": "pairs", "run": {**common, **target}},
            "score": {"after": "target", "run": {**common, "evaluate": {"tasks": ["cldr-topic"], "languages": ["en"]}}},
        },
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    message = "parallel train de: 1 of 4 texts are sentences of what is evaluated"
    for more in (["--dry-run"], []):
        done = CliRunner().invoke(main, ["study", "run", str(tmp_path / "study.yaml"), *more])
        assert done.exit_code == 2, done.output
        assert f"score-s1: {message}" in done.output
    assert not (tmp_path / "study" / "runs").exists()

    model = tmp_path / "aligned"
    shutil.copytree(tmp_path / "encoder", model)
    run = load_study_run(tmp_path / "study.yaml", "pairs")
    trained = stage_of("pairs", run.dump(), [(task("parallel"), "de")])
    (model / "trained_on.json").write_text(json.dumps(dump_lineage((trained,))))
    alone = {
        "name": "b",
        "folder": str(tmp_path / "b"),
        **common,
        **target,
        "evaluate": study["stages"]["score"]["run"]["evaluate"],
    }
    alone["model"] = {"backbone": str(model)}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(alone))
    done = CliRunner().invoke(main, ["train", str(tmp_path / "run.yaml"), "--dry-run"])
    assert done.exit_code == 2
    assert message in done.output


def load_study_run(path: Path, stage: str) -> Run:
    return next(node.run for node in expand(load_study(path), Facts()).nodes.values() if node.stage == stage)
