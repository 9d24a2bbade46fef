"""Encoders that read dependency trees, under DeepSpeed: gradients, resuming to the bit, strength 0, and scores by both
layouts."""

import json
from pathlib import Path

import pytest
import torch
from distributed.group import Group
from distributed.tensors import apart
from distributed.test_same_result import ACCUMULATED, stage
from safetensors.torch import load_file
from tiny_parses import tiny_parses

from xdist.tasks.catalog import task

SAVING = ["train.steps=5", "runtime.save_every=1", "runtime.log_every=1", "runtime.keep=9"]
SHAPE = "layers: 2, heads: 2, width: 8, rank: 5, joined: 2, distance: 2, weight: 0.5, strength: 0.7"


@pytest.fixture(scope="module")
def parses(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("parses")
    return tiny_parses(folder, small_run.parent / "benchmark", task("cldr-topic"), ("en", "de"))


def syntax(parses: str, **more: object) -> str:
    others = "".join(f", {name}: {value}" for name, value in {"dropout": 0.0, **more}.items())
    return f"model.syntax={{parses: {{cldr-topic: '{parses}'}}, {SHAPE}{others}}}"


def test_syntax_gradient_equals_a_plain_loop_at_every_stage(one: Group, two: Group, small_run: Path, parses: str) -> None:
    """Of the task and of both losses of trees, several micro-batches on each of two ranks."""
    options = [syntax(parses)]
    expected = one.run("syntax_cases.gradient", path=str(small_run), overrides=options)[0]
    assert sum(name.startswith("encoder.syntax.") for name in expected) == 1 + 2 * 3 + 2 + 2 * 2 * 2 + 2
    assert all(values.any() or name.endswith("key.bias") for name, values in expected.items())
    for number in (0, 1, 2, 3):
        found = two.run("gradient", path=str(small_run), overrides=[*options, *ACCUMULATED, *stage(number)])[0]
        assert apart(found, expected, 2e-6) == [], number


def test_syntax_goes_on_to_the_bit_and_scores_alike_in_both_layouts(
    one: Group, two: Group, small_run: Path, parses: str, tmp_path: Path
) -> None:
    """With dropout in graph attention, perturbed, layers computed again."""
    robust = "robust={method: adversarial, radius: 0.1}"
    options = [syntax(parses, dropout=0.1), robust, *SAVING]
    scored = ["evaluate.tasks=[cldr-topic]", "evaluate.languages=[en, de]"]
    for number, more in ((2, scored), (3, ["model.gradient_checkpointing=true"])):
        folder = tmp_path / str(number)
        for name, stop_at in (("whole", None), ("stopped", 1), ("stopped", None)):
            overrides = [*options, *more, *stage(number), f"folder={folder / name}"]
            two.run("whole_run", path=str(small_run), overrides=overrides, stop_at=stop_at)
        whole, stopped = folder / "whole", folder / "stopped"
        for file in ("model.safetensors", "syntax.safetensors", "heads.safetensors"):
            expected, found = load_file(whole / "model" / file), load_file(stopped / "model" / file)
            assert expected.keys() == found.keys()
            assert all(torch.equal(expected[key], found[key]) for key in expected), file
            assert not any(key.startswith("syntax.") for key in expected)
        last = json.loads((whole / "metrics.jsonl").read_text().splitlines()[4])
        assert {"syntax/distance", "syntax/depth"} <= last.keys()
    again = [*options, *scored, *stage(0), "runtime.attention=padded", f"folder={tmp_path / 'padded'}"]
    one.run("evaluate_copy", path=str(small_run), overrides=again, source=str(tmp_path / "2/whole/model"))
    scores = [json.loads((tmp_path / name / "scores.json").read_text())["tasks"] for name in ("2/whole", "padded")]
    assert scores[0] == scores[1]


def test_syntax_strength_0_trains_the_plain_encoder_to_the_bit(
    two: Group, small_run: Path, parses: str, tmp_path: Path
) -> None:
    for name, more in (("plain", []), ("none", [syntax(parses).replace("strength: 0.7", "strength: 0")])):
        overrides = [*more, "train.steps=3", *stage(2), f"folder={tmp_path / name}"]
        two.run("whole_run", path=str(small_run), overrides=overrides)
    for file in ("model.safetensors", "heads.safetensors"):
        expected, found = (load_file(tmp_path / name / "model" / file) for name in ("plain", "none"))
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert not (tmp_path / "none/model/syntax.json").exists()
