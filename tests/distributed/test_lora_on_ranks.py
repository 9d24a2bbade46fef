"""Adapters under DeepSpeed: gradients, resuming to the bit, and what of a model is saved."""

from pathlib import Path

import pytest
import torch
from distributed.group import Group
from distributed.tensors import apart
from distributed.test_same_result import ACCUMULATED, stage
from peft_folder import peft_folder
from safetensors.torch import load_file

from xdist.checkpoint import tags
from xdist.config import Model
from xdist.data.tokenizer import load_tokenizer
from xdist.model.encoder import load_encoder

KINDS = {
    "lora": "model.adapter={kind: lora, rank: 4, dropout: 0.1}",
    "bottleneck": "model.adapter={kind: bottleneck, rank: 4}",
}
SAVING = ["train.steps=5", "runtime.save_every=1", "runtime.log_every=1", "runtime.keep=9"]


@pytest.fixture(scope="module")
def adapter(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    backbone = str(small_run.parent / "encoder")
    encoder = load_encoder(Model(backbone=backbone), load_tokenizer(backbone), torch.float32)
    return peft_folder(tmp_path_factory.mktemp("adapter") / "peft", encoder)


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_lora_gradient_equals_a_plain_loop(one: Group, two: Group, small_run: Path, adapter: Path, number: int) -> None:
    """Of a perturbed step, several micro-batches on each of two ranks; nothing else moves."""
    options = [f"model.adapter={{folder: {adapter}}}", "robust={method: adversarial, radius: 0.3, steps: 2}"]
    expected = one.once("lora_cases.gradient", path=str(small_run), overrides=options)[0]
    found = two.run("gradient", path=str(small_run), overrides=[*options, *ACCUMULATED, *stage(number)])[0]
    assert set(expected) == set(found)
    assert sum("lora_A" in name for name in found) == 12
    assert apart(found, expected, 1e-6) == []
    assert all(values.any() for values in expected.values())


@pytest.mark.parametrize("kind, number", [("lora", 0), ("lora", 2), ("lora", 3), ("bottleneck", 3)])
def test_lora_goes_on_to_the_bit_and_saves_what_it_trains(
    two: Group, small_run: Path, tmp_path: Path, kind: str, number: int
) -> None:
    options = [KINDS[kind], "model.dropout=0.1", "robust={method: adversarial, radius: 0.1}", *SAVING, *stage(number)]
    for name, stop_at in (("whole", None), ("stopped", 1), ("stopped", None)):
        two.run("whole_run", path=str(small_run), overrides=[*options, f"folder={tmp_path / name}"], stop_at=stop_at)
    whole, stopped = tmp_path / "whole/model", tmp_path / "stopped/model"
    names = sorted(path.name for path in whole.glob("*.safetensors"))
    assert names == [{"lora": "adapter_model.safetensors", "bottleneck": "bottleneck.safetensors"}[kind], "heads.safetensors"]
    trained = 0
    for name in names:
        expected, found = load_file(whole / name), load_file(stopped / name)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)
        trained += sum(value.numel() for value in expected.values())
    tag = tags.list_tags(tmp_path / "whole/checkpoints")[-1]
    encoder = load_file(small_run.parent / "encoder/model.safetensors")
    assert trained < 0.1 * sum(value.numel() for value in encoder.values())
    # Weight, master copy and two moments of what is trained, twice where ranks share a part, and the file format's own.
    assert tag.bytes < 2 * 16 * trained + 200_000


def test_lora_goes_on_at_another_stage_and_is_refused_on_another_model(
    one: Group, two: Group, small_run: Path, tmp_path: Path
) -> None:
    run = [KINDS["lora"].replace(", dropout: 0.1", ""), *SAVING, f"folder={tmp_path / 'run'}"]
    two.run("whole_run", path=str(small_run), overrides=[*run, *stage(2)], stop_at=2)
    whole = [*run[:-1], f"folder={tmp_path / 'whole'}"]
    two.run("whole_run", path=str(small_run), overrides=[*whole, *stage(0)])
    encoder = small_run.parent / "encoder/model.safetensors"
    values = encoder.read_bytes()
    try:
        encoder.write_bytes(values[:-4] + b"\0\0\0\0")
        with pytest.raises(AssertionError, match="changed since the checkpoint was saved"):
            one.run("whole_run", path=str(small_run), overrides=[*run, *stage(3)])
    finally:
        encoder.write_bytes(values)
    one.run("whole_run", path=str(small_run), overrides=[*run, *stage(3)])
    expected, found = (load_file(tmp_path / f"{name}/model/adapter_model.safetensors") for name in ("whole", "run"))
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, atol=1e-5, rtol=1e-4)


def test_lora_is_joined_by_language_adapters_at_every_stage(two: Group, small_run: Path, tmp_path: Path) -> None:
    """Trained as a language model, below a task adapter; rows of both languages in each micro-batch, layers computed again."""
    text = small_run.parent / "benchmark/mlm/sw.txt"
    text.parent.mkdir(exist_ok=True)
    text.write_text("\n".join(f"the old metrisw {number} and the great eurosw" for number in range(60)), encoding="utf-8")
    adapter = "model.adapter={kind: bottleneck, rank: 4, invertible: true}"
    language = [adapter, "train.tasks=[{task: mlm, languages: [sw]}]", "train.steps=4", f"folder={tmp_path / 'sw'}"]
    assert two.run("whole_run", path=str(small_run), overrides=[*language, *stage(3)])[0]["finished"]
    changed = load_file(tmp_path / "sw/model/bottleneck.safetensors")
    assert all(bool(value.any()) for name, value in changed.items() if name.startswith("invertible") and "up.weight" in name)
    above = f"model.adapter={{kind: bottleneck, rank: 4, languages: {{sw: {{model: {tmp_path / 'sw/model'}}}}}}}"
    options = [above, "train.tasks=[{task: cldr-topic, languages: [sw, en]}]", "evaluate.tasks=[cldr-topic]", "train.steps=4"]
    found = []
    for name, more in (("plain", stage(0)), ("again", [*stage(3), "model.gradient_checkpointing=true"])):
        folder = tmp_path / name
        two.run("whole_run", path=str(small_run), overrides=[*options, *more, f"folder={folder}"])
        assert (folder / "model/languages/sw/bottleneck.safetensors").is_file()
        predicted = {path.name: path.read_text() for path in sorted((folder / "predictions").rglob("*sw*")) if path.is_file()}
        found.append((load_file(folder / "model/bottleneck.safetensors"), predicted))
    (expected, first), (weights, second) = found
    for key, value in expected.items():
        torch.testing.assert_close(weights[key], value, atol=1e-5, rtol=1e-4)
    assert first
    assert first == second
