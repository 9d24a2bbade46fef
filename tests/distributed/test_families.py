"""Question answering, multiple choice, tagging and classification in one run: several heads, rows of several sequences, rows
that share an example. Losses and predictions do not depend on the number of ranks."""

import json
from pathlib import Path

import pytest
import yaml
from distributed.group import Group
from safetensors.torch import load_file, save_file
from tiny import tiny_benchmark, tiny_model
from tiny_families import LANGUAGES, tiny_families
from tiny_kinds import tiny_kind

from xdist.run.folder import RunFolder

STAGES = Path(__file__).with_name("ds_configs")
EVALUATED = ("xquad", "mlqa", "xcopa", "udpos", "xnli-pairs")


@pytest.fixture(scope="module")
def families_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("families")
    tiny_benchmark(folder / "benchmark")
    tiny_families(folder / "benchmark")
    run = {
        "name": "families",
        "folder": str(folder / "run"),
        "model": {"backbone": str(tiny_model(folder / "encoder", folder / "benchmark")), "dropout": 0.0},
        "data": {"root": str(folder / "benchmark"), "cache": str(folder / "prepared"), "max_length": 48},
        "train": {
            "tasks": [{"task": name, "weight": 1} for name in ("squad", "siqa", "copa", "udpos", "xnli")],
            "steps": 4,
            "batch_size": 15,
            "learning_rate": 1e-3,
        },
        "evaluate": {"tasks": list(EVALUATED)},
        "runtime": {"deepspeed": str(STAGES / "zero2.json"), "micro_batch_tokens": 300, "eval_batch_tokens": 400},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(run))
    return path


@pytest.mark.parametrize("stage", [0, 3])
def test_losses_of_mixed_families_do_not_depend_on_ranks(one: Group, two: Group, families_run: Path, stage: int) -> None:
    options = [f"runtime.deepspeed={STAGES / f'zero{stage}.json'}"]
    (expected,) = one.once("losses", path=str(families_run), overrides=[], steps=4)
    for result in two.run("losses", path=str(families_run), overrides=options, steps=4):
        assert result["loss"] == pytest.approx(expected["loss"], abs=1e-4)
        assert result["norm"] == pytest.approx(expected["norm"], rel=1e-3)
    assert expected["micros"] >= 4  # squad, choice, udpos and xnli; Social IQa and COPA share batches


def test_segments_of_an_encoder_that_knows_two_do_not_depend_on_ranks(
    one: Group, two: Group, families_run: Path, tmp_path: Path
) -> None:
    """BERT on pairs, options and contexts: complete and padded on one rank, in parts and packed on two."""
    backbone = tiny_kind(tmp_path / "bert", "bert")
    options = [f"model.backbone={backbone}", "train.tasks=[{task: squad}, {task: siqa}, {task: xnli}]"]
    (expected,) = one.run("losses", path=str(families_run), overrides=[*options, "runtime.attention=padded"], steps=2)
    parts = [*options, f"runtime.deepspeed={STAGES / 'zero3.json'}"]
    for result in two.run("losses", path=str(families_run), overrides=parts, steps=2):
        assert result["loss"] == pytest.approx(expected["loss"], abs=1e-4)
        assert result["norm"] == pytest.approx(expected["norm"], rel=1e-3)
    weights = load_file(backbone / "model.safetensors")
    weights["embeddings.token_type_embeddings.weight"][1] *= -1
    save_file(weights, backbone / "model.safetensors", metadata={"format": "pt"})
    (others,) = one.run("losses", path=str(families_run), overrides=options, steps=1)  # the second segment counts
    assert others["loss"][0] != pytest.approx(expected["loss"][0], rel=1e-3)


ROBUST = {
    "adversarial": "{method: adversarial, loss: kl, random_start: true, clean: 0.5, radius: 0.2}",
    "free": "{method: free, steps: 2, norm: linf, ball: token}",
    "random": "{method: random, place: last, draws: 2, perturb_special: true, radius: 0.2}",
    "several": "[{method: random, place: embedding}, {method: adversarial, radius: 0.2}, {method: consistency, weight: 2}]",
    "r3f": "{method: consistency, scale: 0.01, clean: 0.5}",
}


@pytest.mark.parametrize("method", ROBUST)
def test_every_method_trains_every_family_alike_on_any_ranks(one: Group, two: Group, families_run: Path, method: str) -> None:
    options = [f"robust={ROBUST[method]}"]
    (expected,) = one.run("losses", path=str(families_run), overrides=options, steps=2)
    zero3 = [*options, f"runtime.deepspeed={STAGES / 'zero3.json'}"]
    for result in two.run("losses", path=str(families_run), overrides=zero3, steps=2):
        assert result["loss"] == pytest.approx(expected["loss"], rel=1e-3)
        assert result["norm"] == pytest.approx(expected["norm"], rel=5e-3)
        assert result["scalars"].keys() == expected["scalars"].keys()
        for name in ("delta_norm", "radius", "loss_perturbed"):
            if f"robust/{name}" in expected["scalars"]:
                assert result["scalars"][f"robust/{name}"] == pytest.approx(expected["scalars"][f"robust/{name}"], rel=1e-3)
    assert 0 < expected["scalars"]["robust/seconds_share"] < 1


def test_predictions_of_every_family_do_not_depend_on_ranks(one: Group, two: Group, families_run: Path, tmp_path: Path) -> None:
    first, again = tmp_path / "two", tmp_path / "one"
    assert two.run("whole_run", path=str(families_run), overrides=[f"folder={first}"])[0]["finished"]
    one.run("evaluate_copy", path=str(families_run), overrides=[f"folder={again}"], source=str(first / "model"))
    predictions = RunFolder(first).predictions
    files = sorted(str(path.relative_to(predictions)) for path in predictions.rglob("test-*"))
    pairs = [f"{left}-{right}" for left in LANGUAGES["xnli"] for right in LANGUAGES["xnli"]]
    assert files == sorted(
        [f"xquad/test-{code}.json" for code in LANGUAGES["xquad"]]
        + [f"mlqa/test-{code}.json" for code in LANGUAGES["mlqa"]]
        + [f"xcopa/test-{code}.jsonl" for code in LANGUAGES["xcopa"]]
        + [f"udpos/test-{code}.tsv" for code in ("de", "en")]
        + [f"xnli-pairs/test-{pair}.tsv" for pair in pairs]
    )
    for file in files:
        assert (predictions / file).read_bytes() == (RunFolder(again).predictions / file).read_bytes(), file
    scores, repeated = (json.loads(RunFolder(folder).scores.read_text())["tasks"] for folder in (first, again))
    assert scores == repeated
    assert set(scores) == set(EVALUATED)
    assert scores["xquad"]["trained_on"] == ["en"]
    assert set(scores["xquad"]["mean"]) == {"exact_match", "f1"}
    assert set(scores["xnli-pairs"]["transfer"]) == {"diagonal", "off_diagonal", "english_first", "english_second"}
    assert set(scores["xnli-pairs"]["languages"]) == set(pairs)
