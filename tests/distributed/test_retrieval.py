"""Every retrieval task from files to scores: training and predictions do not depend on the number of ranks, candidates stay
where they were encoded, and the demo's encoder finds translations without training."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from distributed.group import Group
from safetensors.torch import load_file, save_file
from tiny_kinds import tiny_kind
from tiny_retrieval import LAREQA, tiny_retrieval
from transformers import AutoModel, AutoTokenizer

from xdist.config import load_run
from xdist.errors import UserError
from xdist.evaluation.official import score_folder
from xdist.metrics.bitext import NUMBERS
from xdist.run.folder import RunFolder
from xdist.tasks.catalog import task

STAGES = Path(__file__).with_name("ds_configs")
EVALUATED = ["evaluate={tasks: [lareqa, mewslix, bucc2018, ntrex, tatoeba]}"]


@pytest.fixture(scope="module")
def retrieval_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("retrieval")
    root, backbone = tiny_retrieval(folder)
    run = {
        "name": "retrieval",
        "folder": str(folder / "run"),
        "model": {"backbone": str(backbone), "dropout": 0.0},
        "data": {"root": str(root), "cache": str(folder / "prepared")},
        "train": {
            "tasks": [{"task": "squad-sentences"}, {"task": "mewslix-pairs"}],
            "steps": 3,
            "batch_size": 22,
            "learning_rate": 1e-3,
        },
        "runtime": {"deepspeed": str(STAGES / "zero2.json")},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(run))
    return path


@pytest.mark.parametrize("robust", ["none", "adversarial"])
def test_negatives_do_not_depend_on_ranks_or_micro_batches(one: Group, two: Group, retrieval_run: Path, robust: str) -> None:
    options = [f"robust={{method: {robust}, radius: 0.2}}", "train.negatives=4"]
    (expected,) = one.run("losses", path=str(retrieval_run), overrides=options, steps=3)
    small = [*options, "runtime.micro_batch_tokens=300"]
    for group in (one, two):
        for result in group.run("losses", path=str(retrieval_run), overrides=small, steps=3):
            assert result["micros"] > expected["micros"] == 2
            assert result["loss"] == pytest.approx(expected["loss"], rel=1e-4)
            assert result["norm"] == pytest.approx(expected["norm"], rel=1e-3)
    (others,) = one.run("losses", path=str(retrieval_run), overrides=[*options, "train.negatives=2"], steps=1)
    assert others["loss"][0] != pytest.approx(expected["loss"][0], rel=0.01)


def test_a_dual_encoder_is_chosen_by_its_dev_loss(one: Group, two: Group, retrieval_run: Path) -> None:
    options = ["train.tasks=[{task: squad-sentences}]", "train.select={every: 1, by: loss}", "train.negatives=4"]
    (expected,) = one.run("judged", path=str(retrieval_run), overrides=options)
    small = [*options, "runtime.eval_batch_tokens=300"]
    assert two.run("judged", path=str(retrieval_run), overrides=small) == pytest.approx([expected] * 2, rel=1e-4)
    (others,) = one.run("judged", path=str(retrieval_run), overrides=[*options, "train.negatives=2"])
    assert expected < others < 0  # minus the loss, which grows with the answers to choose among


@pytest.fixture(scope="module")
def evaluated(two: Group, retrieval_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained at ZeRO-3 and evaluated in the same processes: a barely trained dual encoder, whose vectors are nearly equal, so
    that one other last bit anywhere in the encoder shows in the rankings."""
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    overrides = [*EVALUATED, f"folder={folder}", f"runtime.deepspeed={STAGES / 'zero3.json'}"]
    assert two.run("whole_run", path=str(retrieval_run), overrides=overrides)[0]["finished"]
    return folder


def test_every_task_has_predictions_and_scores(evaluated: Path) -> None:
    predictions = RunFolder(evaluated).predictions
    expected = [f"lareqa/test-{code}.json" for code in LAREQA]
    expected += ["mewslix/test-de.json", "mewslix/test-en.json", "bucc2018/test-de.tsv", "bucc2018/test-zh.tsv"]
    expected += ["ntrex/test-wo.tsv", "tatoeba/test-sw.tsv"]
    assert sorted(str(path.relative_to(predictions)) for path in predictions.rglob("test-*")) == sorted(expected)
    rankings = json.loads((predictions / "lareqa/test-th.json").read_text())
    assert len(rankings) == 18
    assert all(len(set(ranking)) == len(ranking) == 20 for ranking in rankings.values())
    assert {id.split("_")[0] for ranking in rankings.values() for id in ranking} > {"th"}  # one pool of all languages
    scores = json.loads(RunFolder(evaluated).scores.read_text())["tasks"]
    assert set(scores["lareqa"]["languages"]) == set(LAREQA)
    assert set(scores["lareqa"]["mean"]) == set(scores["mewslix"]["mean"]) == {"map@20"}
    assert scores["mewslix"]["trained_on"] == ["en"]
    assert set(scores["bucc2018"]["mean"]) == {"f1", "precision", "recall"}
    assert scores["ntrex"]["mean"]["accuracy"] > 0
    assert set(scores["ntrex"]["mean"]) == set(NUMBERS)
    assert scores["tatoeba"]["languages"] == {"sw": {"count": 40}}  # no labels: predicted, not scored


def test_predictions_do_not_depend_on_ranks(one: Group, evaluated: Path, retrieval_run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    overrides = [*EVALUATED, f"folder={again}"]
    one.run("evaluate_copy", path=str(retrieval_run), overrides=overrides, source=str(evaluated / "model"))
    predictions = RunFolder(evaluated).predictions
    for path in predictions.rglob("test-*"):
        assert path.read_bytes() == (RunFolder(again).predictions / path.relative_to(predictions)).read_bytes(), path
    scores, repeated = (json.loads(RunFolder(folder).scores.read_text())["tasks"] for folder in (evaluated, again))
    assert scores == repeated


def test_the_folder_scores_as_the_run_did(evaluated: Path, retrieval_run: Path, tmp_path: Path) -> None:
    folder, root = tmp_path / "someone", load_run(retrieval_run).data.root
    shutil.copytree(RunFolder(evaluated).predictions, folder, ignore=shutil.ignore_patterns("tatoeba"))
    scores = score_folder(folder, root, partial=True)["tasks"]
    expected = json.loads(RunFolder(evaluated).scores.read_text())["tasks"]
    assert all(entry["languages"] == expected[name]["languages"] for name, entry in scores.items())
    assert set(scores) == {"lareqa", "mewslix", "bucc2018", "ntrex"}
    with pytest.raises(UserError, match=r"sw-en\.en: the gold is blanked"):
        score_folder(RunFolder(evaluated).predictions, root, partial=True)


def test_another_layer_is_refused_beside_predictions_and_scored_anew_without(
    one: Group, evaluated: Path, retrieval_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    run = [f"folder={folder}", "evaluate={tasks: [ntrex, lareqa]}"]
    source = shutil.copytree(evaluated / "model", tmp_path / "model")
    weights = load_file(source / "model.safetensors")  # small as they begin, layers hardly move what is below them
    louder = {name: 5 * values if ".layer." in name and "dense.weight" in name else values for name, values in weights.items()}
    save_file(louder, source / "model.safetensors", metadata={"format": "pt"})
    one.run("evaluate_copy", path=str(retrieval_run), overrides=run, source=str(source))
    own = json.loads(RunFolder(folder).scores.read_text())["tasks"]
    predicted = (RunFolder(folder).predictions / "ntrex/test-wo.tsv").read_text()
    with_layer = [*run, "evaluate.layer=0"]
    with pytest.raises(
        AssertionError, match=r"evaluate\.layer: was null when 'ntrex' was predicted, is 0; choose another folder"
    ):
        one.run("retrieval_cases.evaluate_again", path=str(retrieval_run), overrides=with_layer)
    assert json.loads(RunFolder(folder).scores.read_text())["tasks"] == own
    shutil.rmtree(RunFolder(folder).predictions)
    one.run("retrieval_cases.evaluate_again", path=str(retrieval_run), overrides=with_layer)
    embedding = json.loads(RunFolder(folder).scores.read_text())["tasks"]
    assert "layer" not in own["ntrex"]
    assert embedding["ntrex"]["layer"] == 0
    assert (RunFolder(folder).predictions / "ntrex/test-wo.tsv").read_text() != predicted
    assert embedding["lareqa"] == own["lareqa"]  # its head reads what it was trained on
    shutil.rmtree(RunFolder(folder).predictions)
    with pytest.raises(AssertionError, match=r"evaluate\.layer: there is no layer 3: .*run/model has 2"):
        one.run("retrieval_cases.evaluate_again", path=str(retrieval_run), overrides=[*run, "evaluate.layer=3"])


@torch.no_grad()
def test_a_middle_layer_is_that_of_transformers(two: Group, retrieval_run: Path, tmp_path: Path) -> None:
    """Of an encoder whose stack ends in its own norm, kept in parts."""
    backbone = tiny_kind(tmp_path / "encoder", "xlm-roberta-xl")
    overrides = [
        f"folder={tmp_path / 'run'}",
        f"model.backbone={backbone}",
        "train=null",
        "evaluate={tasks: [ntrex], layer: 1}",
    ]
    overrides.append(f"runtime.deepspeed={STAGES / 'zero3.json'}")
    two.run("retrieval_cases.evaluate_again", path=str(retrieval_run), overrides=overrides)
    tokenizer, encoder = AutoTokenizer.from_pretrained(backbone), AutoModel.from_pretrained(backbone).eval()
    examples = list(task("ntrex").examples(load_run(retrieval_run).data.root, "test", "wo"))
    vectors: dict[str, list[torch.Tensor]] = {"foreign": [], "english": []}
    for side, sentence in examples:
        states = encoder(**tokenizer(sentence.text, return_tensors="pt"), output_hidden_states=True).hidden_states[1]
        vectors[side].append(torch.nn.functional.normalize(states[0].mean(0), dim=0))
    cosine = torch.stack(vectors["english"]) @ torch.stack(vectors["foreign"]).T
    predicted = (RunFolder(tmp_path / "run").predictions / "ntrex/test-wo.tsv").read_text().splitlines()
    nearest = [row for way in (cosine, cosine.T) for row in way.topk(10, dim=1).indices.tolist()]
    assert [list(map(int, line.split())) for line in predicted] == nearest


def test_the_demo_encoder_finds_translations_without_training(
    two: Group, shared_data: Path, demo_encoder: Path, tmp_path: Path
) -> None:
    run = Path(__file__).resolve().parents[2] / "jobs/runs/tatoeba-zero.yaml"
    overrides = [
        f"folder={tmp_path / 'run'}",
        f"model.backbone={demo_encoder}",
        f"data={{root: {shared_data}, cache: {tmp_path / 'prepared'}}}",
        "evaluate.languages=[de, sw]",
    ]
    two.run("retrieval_cases.evaluate_again", path=str(run), overrides=overrides)
    scores = json.loads(RunFolder(tmp_path / "run").scores.read_text())["tasks"]["tatoeba"]["languages"]
    assert scores["de"]["accuracy"] >= 95
    assert scores["sw"]["accuracy"] >= 75
