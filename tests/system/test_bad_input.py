"""A user's error is one line that names file and line (or key) and the nearest valid name; exit 2; nothing is written."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file, save_file
from tiny import tiny_benchmark, tiny_model
from typing_of_commands import Typed


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything in order."""
    folder = tmp_path_factory.mktemp("bad")
    tiny_benchmark(folder / "benchmark")
    tiny_model(folder / "encoder", folder / "benchmark")
    return folder


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(good, tmp_path / "user")
    return tmp_path / "user"


def description(folder: Path, **changes: object) -> Path:
    run: dict = {
        "name": "mine",
        "folder": str(folder / "run"),
        "model": {"backbone": str(folder / "encoder")},
        "data": {"root": str(folder / "benchmark"), "cache": str(folder / "prepared")},
        "train": {"tasks": [{"task": "cldr-topic", "languages": ["en"]}], "steps": 2},
        "evaluate": {"tasks": ["cldr-topic"]},
    }
    for key, value in changes.items():
        place = run
        *parents, last = key.split("__")
        for parent in parents:
            place = place[int(parent)] if parent.isdigit() else place[parent]
        place[last] = value
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(run, sort_keys=False), encoding="utf-8")
    return path


def refused(loaded: Typed, folder: Path, *words: object) -> str:
    """The one line that the command leaves; checks exit code, that it is one line, and that no run folder appeared."""
    before = sorted(folder.rglob("*"))
    done = loaded("xdist", *words)
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("prepare ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert [path for path in sorted(folder.rglob("*")) if "prepared" not in path.parts] == [
        path for path in before if "prepared" not in path.parts
    ]
    return lines[0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"train__lerning_rate": 1}, r"run\.yaml:14: train: unknown key 'lerning_rate': did you mean 'learning_rate'\?"),
        ({"train__tasks__0__task": "cldr-topics"}, r"run\.yaml:10: train\.tasks\.0\.task: unknown task .* 'cldr-topic'\?"),
        ({"train__tasks__0__languages": ["sv"]}, r"run\.yaml:12: .*unknown language 'sv': did you mean 'sw'"),
        ({"evaluate__tasks": ["cldr-name"]}, r"run\.yaml:16: evaluate\.tasks\.0: unknown task .*'cldr-names'\?"),
        ({"evaluate__languages": ["xx"]}, r"run\.yaml:17: evaluate\.languages.*unknown language 'xx'"),
        ({"robust": {"method": "adverserial"}}, r"robust\.method: unknown method .*did you mean 'adversarial'\?"),
        ({"train__steps": 0}, r"run\.yaml:13: train\.steps: .*greater than or equal to 1"),
        ({"train__epochs": 3}, r"run\.yaml:8: train: give either steps or epochs"),
        ({"runtime": {"deepspeed": "zero4"}}, r"unknown DeepSpeed configuration 'zero4': did you mean 'zero\d'\?"),
        ({"model__backbone": "/nowhere/encoder"}, r"/nowhere/encoder: no such folder"),
    ],
)
def test_wrong_values(loaded: Typed, folder: Path, changes: dict, expected: str) -> None:
    line = refused(loaded, folder, "train", description(folder, **changes))
    assert re.search(expected, line), line


def test_unknown_override(loaded: Typed, folder: Path) -> None:
    line = refused(loaded, folder, "train", description(folder), "train.step=3")
    assert "train.step=3 (command line): train: unknown key 'step': did you mean 'steps'?" in line


def test_broken_yaml(loaded: Typed, folder: Path) -> None:
    path = description(folder)
    path.write_text(path.read_text() + "  - nonsense: [\n")
    assert re.search(r"run\.yaml:\d+: ", refused(loaded, folder, "train", path))


def test_key_twice(loaded: Typed, folder: Path) -> None:
    path = description(folder)
    path.write_text(path.read_text() + "name: again\n")
    assert "name: this key appears here twice" in refused(loaded, folder, "train", path)


def spoil(path: Path, number: int, line: str) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    lines[number - 1] = line
    path.write_text("\n".join(lines), encoding="utf-8")


def test_data_without_label_column(loaded: Typed, folder: Path) -> None:
    spoil(folder / "benchmark/cldr-topic/train-en.tsv", 7, "only a name")
    line = refused(loaded, folder, "train", description(folder))
    assert "train-en.tsv:7: " in line


def test_unknown_label(loaded: Typed, folder: Path) -> None:
    spoil(folder / "benchmark/cldr-topic/train-en.tsv", 5, "Peru\tteritory")
    line = refused(loaded, folder, "train", description(folder))
    assert "train-en.tsv:5: unknown label 'teritory': did you mean 'territory'?" in line


def test_undecodable_byte(loaded: Typed, folder: Path) -> None:
    path = folder / "benchmark/cldr-topic/train-en.tsv"
    path.write_bytes(path.read_bytes()[:40] + b"\xff\xfe" + path.read_bytes()[40:])
    assert "train-en.tsv:3: not UTF-8: byte 0xff at offset 40" in refused(loaded, folder, "train", description(folder))


def test_missing_file(loaded: Typed, folder: Path) -> None:
    (folder / "benchmark/cldr-topic/train-en.tsv").unlink()
    assert "train-en.tsv: no such file" in refused(loaded, folder, "train", description(folder))


def test_model_folder_without_weights(loaded: Typed, folder: Path) -> None:
    (folder / "encoder/model.safetensors").unlink()
    assert "encoder: holds no weights" in refused(loaded, folder, "train", description(folder))


def test_layer_that_the_encoder_has_not(loaded: Typed, folder: Path) -> None:
    """Reported before training, not after it."""
    line = refused(loaded, folder, "train", description(folder, evaluate__layer=3))
    assert re.search(r"run\.yaml:\d+: evaluate\.layer: there is no layer 3: .*encoder has 2", line)


def test_tokenizer_larger_than_the_embedding(loaded: Typed, folder: Path) -> None:
    config = json.loads((folder / "encoder/config.json").read_text())
    config["vocab_size"] = 100
    (folder / "encoder/config.json").write_text(json.dumps(config))
    weights = load_file(folder / "encoder/model.safetensors")
    name = next(name for name in weights if name.endswith("word_embeddings.weight"))
    weights[name] = weights[name][:100].contiguous()
    save_file(weights, folder / "encoder/model.safetensors", metadata={"format": "pt"})
    line = refused(loaded, folder, "train", description(folder))
    assert "the encoder's embedding has 100 rows" in line


def test_folder_that_is_no_run(loaded: Typed, folder: Path) -> None:
    (folder / "run").mkdir()
    (folder / "run/thesis.txt").write_text("five years of work")
    assert "is not a run folder and not empty" in refused(loaded, folder, "train", description(folder))


def test_ds_config_with_a_key_that_deepspeed_would_ignore(loaded: Typed, folder: Path) -> None:
    (folder / "mine.json").write_text('{"zero_optimisation": {"stage": 2}}')
    line = refused(loaded, folder, "train", description(folder, runtime={"deepspeed": str(folder / "mine.json")}))
    assert "mine.json: unknown key 'zero_optimisation': did you mean 'zero_optimization'?" in line
