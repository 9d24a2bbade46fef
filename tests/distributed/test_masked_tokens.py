"""Masked language modelling with the head tied to the embedding: ZeRO stage, ranks and accumulation do not change the losses,
and the saved model keeps one matrix in two places."""

from pathlib import Path

import pytest
import yaml
from distributed.group import Group
from safetensors.torch import load_file
from tiny import tiny_benchmark, tiny_model

STAGES = Path(__file__).with_name("ds_configs")


@pytest.fixture(scope="module")
def mlm_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mlm")
    root = tiny_benchmark(folder / "benchmark")
    for code in ("en", "quy"):
        names = (root / "cldr-names/de-en.en").read_text(encoding="utf-8").split("\n")
        (root / "mlm").mkdir(exist_ok=True)
        (root / f"mlm/{code}.txt").write_text("\n".join([*names[:40], "", *names[40:]] * 3), encoding="utf-8")
    (root / "tlm").mkdir()
    (root / "tlm/sw-en.tsv").write_text("Kenya ya zamani\told Kenya\nPeru na Chad\tPeru and Chad\n", encoding="utf-8")
    run = {
        "name": "mlm",
        "folder": str(folder / "run"),
        "model": {"backbone": str(tiny_model(folder / "encoder", root)), "dropout": 0.0},
        "data": {"root": str(root), "cache": str(folder / "prepared"), "max_length": 24},
        "train": {
            "tasks": [
                {"task": "mlm", "languages": ["en", "quy"], "weight": 2},
                {"task": "tlm", "languages": ["sw"], "weight": 1},
                {"task": "cldr-topic", "weight": 2},
            ],
            "steps": 4,
            "batch_size": 10,
            "learning_rate": 2e-3,
        },
        "runtime": {"deepspeed": "zero0"},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(run))
    return path


@pytest.fixture(scope="module")
def expected(one: Group, mlm_run: Path) -> dict[str, list[float]]:
    (record,) = one.run("losses", path=str(mlm_run), overrides=[], steps=4)
    assert record["loss"][-1] < record["loss"][0]
    return record


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_losses_do_not_depend_on_stage_or_ranks(
    request: pytest.FixtureRequest, expected: dict[str, list[float]], mlm_run: Path, stage: int, world: int
) -> None:
    group: Group = request.getfixturevalue({1: "one", 2: "two"}[world])
    options = [f"runtime.deepspeed={STAGES / f'zero{stage}.json'}", "runtime.micro_batch_tokens=80"]
    for result in group.run("losses", path=str(mlm_run), overrides=options, steps=4):
        assert result["loss"] == pytest.approx(expected["loss"], abs=1e-4)
        assert result["norm"] == pytest.approx(expected["norm"], rel=1e-3)


ACTIVE = ["train.mlm={softmax: active}"]


@pytest.mark.parametrize("stage", [1, 3])
def test_the_active_softmax_trains_alike(
    one: Group, two: Group, expected: dict[str, list[float]], mlm_run: Path, stage: int
) -> None:
    """A smaller loss than over every piece: of those that are in the texts each is likelier."""
    (alone,) = one.run("losses", path=str(mlm_run), overrides=ACTIVE, steps=3)
    assert alone["loss"][0] < expected["loss"][0]
    options = [*ACTIVE, f"runtime.deepspeed={STAGES / f'zero{stage}.json'}", "runtime.micro_batch_tokens=80"]
    for result in two.run("losses", path=str(mlm_run), overrides=options, steps=3):
        assert result["loss"] == pytest.approx(alone["loss"], abs=1e-4)
        assert result["norm"] == pytest.approx(alone["norm"], rel=1e-3)


@pytest.mark.parametrize("stage", [1, 3])
def test_with_a_frozen_embedding(one: Group, two: Group, mlm_run: Path, stage: int) -> None:
    options = ["model.freeze_embeddings=true"]
    (alone,) = one.run("losses", path=str(mlm_run), overrides=options, steps=2)
    options += [f"runtime.deepspeed={STAGES / f'zero{stage}.json'}"]
    for result in two.run("losses", path=str(mlm_run), overrides=options, steps=2):
        assert result["loss"] == pytest.approx(alone["loss"], abs=1e-4)


def test_the_model_folder_holds_the_tied_matrix_once(two: Group, mlm_run: Path, tmp_path: Path) -> None:
    options = [f"folder={tmp_path / 'run'}", f"runtime.deepspeed={STAGES / 'zero3.json'}", "train.steps=2"]
    assert two.run("whole_run", path=str(mlm_run), overrides=options)[0]["finished"]
    heads = load_file(tmp_path / "run/model/heads.safetensors")
    assert {name for name in heads if name.startswith("mlm.")} == {
        f"mlm.{name}" for name in ("dense.weight", "dense.bias", "layer_norm.weight", "layer_norm.bias", "bias")
    }
    go_on = [f"model.backbone={tmp_path / 'run/model'}", "train.learning_rate=1e-9"]
    fresh, carried = (two.run("losses", path=str(mlm_run), overrides=extra, steps=1)[0] for extra in ([], go_on))
    assert carried["loss"][0] < fresh["loss"][0]
