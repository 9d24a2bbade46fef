"""Model folders that are refused in one line: before anything is built where their files say it, else when they are loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from tiny import tiny_benchmark, tiny_model

from xdist.cli import main
from xdist.config import Model as ModelSection
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.model import encoder as encoder_module
from xdist.model.encoder import load_encoder
from xdist.model.folder import HEADS, HEADS_INDEX, carry_heads
from xdist.model.model import Model
from xdist.resolve.encoder import read_encoder
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models")
    return tiny_model(place / "encoder", tiny_benchmark(place / "benchmark"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "encoder")
    return tmp_path / "encoder"


def loaded(folder: Path) -> Any:
    return load_encoder(ModelSection(backbone=str(folder)), load_tokenizer(str(folder)), torch.float32)


def refused(act: Callable[[], object], said: str) -> None:
    with pytest.raises(UserError) as caught:
        act()
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "changes, said",
    [
        (
            {"num_hidden_layers": 10**9},
            "num_hidden_layers in config.json is 1000000000: expected an integer from 1 to 1000",
        ),
        ({"num_hidden_layers": 0}, "num_hidden_layers in config.json is 0"),
        ({"hidden_size": -64}, "hidden_size in config.json is -64"),
        ({"hidden_size": 64.5}, "hidden_size in config.json is 64.5"),
        ({"hidden_size": "64"}, "hidden_size in config.json is '64'"),
        ({"hidden_size": True}, "hidden_size in config.json is True"),
        ({"hidden_size": 66, "num_attention_heads": 4}, "hidden_size 66 is no multiple of 4 attention heads"),
        ({"vocab_size": 10**30}, "vocab_size in config.json is 1000000000000000000000000000000"),
        ({"vocab_size": 60_000_000}, "60000000 rows of width"),
        ({"vocab_size": 139}, "embeddings.word_embeddings.weight' is ROWS x 64, where config.json requires 139 x 64"),
        ({"max_position_embeddings": 7}, "position_embeddings.weight' is PLACES x 64, where config.json requires 7 x 64"),
        ({"max_position_embeddings": 1 << 40}, "max_position_embeddings in config.json is 1099511627776"),
        ({"quantization_config": {"quant_method": "mine"}}, "quantized weights are not read"),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, "quantized weights are not read"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_built(
    whole: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **changes}))
    said = said.replace("ROWS", str(values["vocab_size"])).replace("PLACES", str(values["max_position_embeddings"]))
    refused(lambda: read_encoder(str(folder)), said)
    tokenizer = load_tokenizer(str(whole))
    monkeypatch.setattr(encoder_module, "MODEL_MAPPING", None)  # from which a class to build would come
    refused(lambda: load_encoder(ModelSection(backbone=str(folder)), tokenizer, torch.float32), said)


def test_weights_of_other_shapes_are_refused_by_name(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "intermediate_size": 100}))
    there = values["intermediate_size"]
    refused(lambda: loaded(folder), f"encoder.layer.0.intermediate.dense.bias' is {there}, where config.json requires 100")


def test_pickled_weights_are_refused(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    said = f"{folder}: its weights are pickled (pytorch_model.bin), which are not read: save the model as safetensors"
    refused(lambda: read_encoder(str(folder)), said)
    refused(lambda: loaded(folder), said)


@pytest.mark.parametrize(
    "content, said",
    [
        (lambda raw: raw[:-1], "bytes instead of"),
        (lambda raw: raw + b"x", "bytes instead of"),
        (lambda raw: raw[:5], "no safetensors file"),
        (lambda raw: b"", "no safetensors file"),
        (lambda raw: b"version https://git-lfs.github.com/spec/v1", "begins with b'version '"),
        (lambda raw: b"\x05" + bytes(7) + b"[[[[[" + raw, "no safetensors file"),
        (lambda raw: (10**6).to_bytes(8, "little") + b"[" * 10**6, "no safetensors file"),
        (lambda raw: (2).to_bytes(8, "little") + b"[]", "no safetensors file"),
        (lambda raw: raw.replace(b'"shape":[64]', b'"shape":"64"', 1), "no safetensors file"),
        (lambda raw: (9).to_bytes(8, "little") + b'{"a": {}}', "no safetensors file"),
    ],
)
def test_files_that_are_no_whole_weights(folder: Path, content: Callable[[bytes], bytes], said: str) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(content(file.read_bytes()))
    for act in (lambda: read_encoder(str(folder)), lambda: loaded(folder)):
        refused(act, said)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_are_not_finite(folder: Path, value: float, dtype: torch.dtype) -> None:
    weights = {name: one.to(dtype) for name, one in load_file(folder / "model.safetensors").items()}
    name = next(name for name in weights if name.endswith("encoder.layer.1.output.dense.weight"))
    weights[name][3, 4] = value
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    refused(lambda: loaded(folder), "encoder.layer.1.output.dense.weight' holds numbers that are not finite")


def test_heads_that_are_not_finite_or_cut(folder: Path) -> None:
    families = {"cldr-topic": family_of(task("cldr-topic"))}
    model = Model(loaded(folder), families, 1)
    weights = {f"cldr-topic.{name}": value.detach().clone() for name, value in model.heads["cldr-topic"].named_parameters()}
    index = {"cldr-topic": {"family": "classification", "task": "cldr-topic", "labels": list(task("cldr-topic").labels)}}
    (folder / HEADS_INDEX).write_text(json.dumps(index))
    save_file(weights, folder / HEADS)
    assert carry_heads(str(folder), model) == (["cldr-topic"], [])
    next(iter(weights.values()))[0] = float("nan")
    save_file(weights, folder / HEADS)
    refused(lambda: carry_heads(str(folder), model), "holds numbers that are not finite")
    (folder / HEADS).write_bytes((folder / HEADS).read_bytes()[:-3])
    refused(lambda: carry_heads(str(folder), model), f"{folder / HEADS}: cannot be read")


def test_nothing_that_a_model_brings_is_run(folder: Path, tmp_path: Path) -> None:
    """A config.json and a tokenizer_config.json that name classes in a file next to them."""
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    for name, classes in (
        ("config.json", {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}),
        ("tokenizer_config.json", {"AutoTokenizer": ["mine.Tokenizer", "mine.Tokenizer"]}),
    ):
        values = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**values, "auto_map": classes}))
    assert read_encoder(str(folder))
    assert loaded(folder)
    assert not (tmp_path / "ran").exists()


def test_a_tokenizer_that_panics(folder: Path) -> None:
    """Rust code that gives up raises what is no Exception."""
    values = json.loads((folder / "tokenizer.json").read_text())
    values["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "ABCDEFGHI"}
    (folder / "tokenizer.json").write_text(json.dumps(values))
    refused(lambda: load_tokenizer(str(folder)), f"{folder}: no tokenizer could be loaded: ")


@pytest.mark.parametrize("not_there", ["runs/nothing", "nothing"])
@pytest.mark.parametrize("words", ["merge {} {} out", "merge encoder {} out", "align {} out --task parallel --languages de"])
def test_a_folder_that_is_not_there_is_our_line_not_that_of_transformers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: str, not_there: str
) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr("xdist.data.fetched.is_offline", lambda: False)  # as where there is a network; transformers finds none,
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # at once instead of after some tries
    done = CliRunner().invoke(main, words.format(not_there, not_there).split())
    assert done.exit_code == 2, done.output
    assert done.output == f"xdist: {not_there}: no such folder, and nothing of that name was found on the hub\n"
    assert not Path("out").exists()
