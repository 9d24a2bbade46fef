"""A run on two ranks from start to scores: resumed, evaluated on 1 and 2 ranks, and readable by TensorBoard."""

import csv
import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from distributed.group import Group
from pages import ROOT, shown
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModel, AutoTokenizer

from xdist.checkpoint import tags
from xdist.cli import main
from xdist.config.scoring_run import overrides_of, run_of_checkpoint
from xdist.run.folder import RunFolder
from xdist.run.recorded import recorded_scores

EVALUATED = [
    "evaluate={tasks: [cldr-topic, cldr-names]}",
    "train.steps=8",
    "runtime.log_every=2",
    "runtime.save_every=3",
]
DROPOUT = ["model.dropout=0.1", "robust={method: adversarial, radius: 0.2, random_start: true}"]


def overrides(folder: Path, stage: int) -> list[str]:
    config = Path(__file__).with_name("ds_configs") / f"zero{stage}.json"
    return [*EVALUATED, *DROPOUT, f"folder={folder}", f"runtime.deepspeed={config}"]


BROKEN = """
from xdist.run.sinks import Sink, register

class Broken(Sink):
    name = "broken"

    def scalars(self, step, values):
        raise ConnectionError("no route to the tracker")

    flush = close = lambda self: 1 / 0

register(Broken)
"""


@pytest.fixture(scope="module")
def trained(two: Group, small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that also shows its numbers by two sinks of others: that of the how-to page, and one that never works."""
    place = tmp_path_factory.mktemp("trained")
    (place / "broken.py").write_text(BROKEN)
    (place / "csv_sink.py").write_text(dict(shown(ROOT / "docs/how-to/own-sink.md"))["csv_sink.py"])
    changes = [*overrides(place / "run", 2), "runtime.sinks=[broken, tensorboard, csv]"]
    changes += [f"plugins=[{place / 'broken.py'}, {place / 'csv_sink.py'}]"]
    done = two.run("warned_run", path=str(small_run), overrides=changes)
    assert [one["finished"] for one in done] == [True, True]
    said = "what sink 'broken' shows of small is incomplete, the run continues: ConnectionError: no route to the tracker"
    assert [[line for line in one["told"] if "sink" in line] for one in done] == [[said], []]
    return place / "run"


def test_run_folder_holds_everything(trained: Path) -> None:
    run = RunFolder(trained)
    assert run.config.exists()
    assert run.deepspeed.exists()
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    assert all(line["train/loss"] > 0 and line["train/grad_norm"] > 0 for line in lines)
    assert all(0 < line["train/waiting_percent"] < 100 for line in lines)
    assert [tag.step for tag in tags.list_tags(run.checkpoints)] == [6, 8]
    assert sorted(path.name for path in (run.predictions / "cldr-topic").iterdir()) == [
        f"test-{code}.tsv" for code in ("de", "en", "sw")
    ]
    scores = json.loads(run.scores.read_text())["tasks"]
    assert set(scores) == {"cldr-topic", "cldr-names"}
    assert set(scores["cldr-names"]["languages"]) == {"de", "sw"}
    assert scores["cldr-topic"]["trained_on"] == ["de", "en"]


def test_tensorboard_reads_the_events(trained: Path) -> None:
    events = EventAccumulator(str(RunFolder(trained).tensorboard))
    events.Reload()
    found = set(events.Tags()["scalars"])
    assert {"train/loss", "train/lr", "train/grad_norm", "train/tokens_per_second", "robust/loss_gap"} <= found
    assert {"eval/cldr-topic/de", "eval/cldr-names/sw"} <= found
    assert sorted(found)[:5] == [  # the section that TensorBoard opens on
        "at a glance/1 loss",
        "at a glance/2 learning rate",
        "at a glance/3 tokens per second",
        "at a glance/5 cldr-names/all languages",
        "at a glance/5 cldr-topic/all languages",
    ]
    assert "_hparams_/session_start_info" in events.summary_metadata
    (text,) = events.Tensors("configuration/text_summary")
    assert b"batch_size:" in text.tensor_proto.string_val[0]
    logged = [json.loads(line) for line in RunFolder(trained).metrics.read_text().splitlines()]
    assert [event.step for event in events.Scalars("train/loss")] == [line["step"] for line in logged]
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx([line["train/loss"] for line in logged])


def test_a_sink_of_ones_own_is_given_every_number(trained: Path) -> None:
    with (trained / "scalars.csv").open() as file:
        rows = [(int(step), name, float(value)) for step, name, value in csv.reader(file)]
    logged = [json.loads(line) for line in RunFolder(trained).metrics.read_text().splitlines()]
    while_trained = [(line["step"], name, line[name]) for line in logged for name in line if name != "step"]
    tasks = json.loads((trained / "scores.json").read_text())["tasks"]
    scores = {
        (8, f"eval/{name}/{code}", one[task["metric"]])
        for name, task in tasks.items()
        for code, one in task["languages"].items()
    }
    means = {(8, f"mean/{name}/all languages", task["mean"][task["metric"]]) for name, task in tasks.items()}
    assert rows[: len(while_trained)] == while_trained
    assert len(scores) == 5
    shown = rows[len(while_trained) :]
    assert {row for row in shown if not row[1].startswith("mean/")} == scores
    assert sorted((step, name, pytest.approx(value)) for step, name, value in means) == sorted(
        row for row in shown if row[1].startswith("mean/")
    )


def test_scores_say_what_the_encoder_has_read_and_how_its_tokenizer_takes_each_language(trained: Path) -> None:
    scores = recorded_scores(trained / "scores.json")
    assert scores["pretraining"] == {"name": "none"}  # a tiny encoder is in no list
    for name, entry in scores["tasks"].items():
        assert set(entry["measured"]) == set(entry["languages"])
        for code, counts in entry["measured"].items():
            assert counts["rows"] == entry["languages"][code]["count"], name
            assert 0 <= counts["unknown"] < counts["pieces"]
            assert 0 < counts["units"] <= counts["pieces"]


def test_model_folder_loads_in_transformers(trained: Path) -> None:
    model = AutoModel.from_pretrained(trained / "model", add_pooling_layer=False)
    tokenizer = AutoTokenizer.from_pretrained(trained / "model")
    with torch.no_grad():
        states = model(**tokenizer("Kenya and Peru", return_tensors="pt")).last_hidden_state
    assert states.isfinite().all()


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_resumed_is_uninterrupted(two: Group, small_run: Path, tmp_path: Path, stage: int) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert two.run("whole_run", path=str(small_run), overrides=[*overrides(whole, stage), "evaluate=null"])[0]["finished"]
    stopped = two.run("whole_run", path=str(small_run), overrides=[*overrides(parts, stage), "evaluate=null"], stop_at=3)
    assert [result["finished"] for result in stopped] == [False, False]
    assert [tag.step for tag in tags.list_tags(parts / "checkpoints")] == [3, 5]
    assert two.run("whole_run", path=str(small_run), overrides=[*overrides(parts, stage), "evaluate=null"])[0]["finished"]
    for name in ("model.safetensors", "heads.safetensors"):
        expected, found = load_file(whole / "model" / name), load_file(parts / "model" / name)
        assert expected.keys() == found.keys()
        for key in expected:
            assert torch.equal(expected[key], found[key]), key
    straight, logged = (
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()] for folder in (whole, parts)
    )
    assert [line["step"] for line in logged] == [2, 4, 6, 8]
    exact = [key for key in straight[0] if key.startswith(("loss/", "train/loss", "robust/loss", "epochs/", "tokens/"))]
    assert len(exact) > 6
    assert [[line[key] for key in exact] for line in logged] == [[line[key] for key in exact] for line in straight]


def test_a_suspended_run_is_an_unhurt_one(two: Group, small_run: Path, trained: Path, tmp_path: Path) -> None:
    """All ranks stop for longer than the silence that ends a run, and resume at different times."""
    with ThreadPoolExecutor() as pool:
        options = {"path": str(small_run), "overrides": overrides(tmp_path / "run", 2), "stop_at": 4, "silence": 2.0}
        running = pool.submit(two.run, "suspended_run", **options)
        try:
            while not all(is_stopped(rank.pid) for rank in two.ranks):
                assert not running.done(), running.result()
                time.sleep(0.05)
            time.sleep(3)
        finally:
            for rank in reversed(two.ranks):
                rank.send_signal(signal.SIGCONT)
                time.sleep(0.5)
        assert running.result()[0]["finished"]
    for name in ("model.safetensors", "heads.safetensors"):
        assert (tmp_path / "run" / "model" / name).read_bytes() == (trained / "model" / name).read_bytes()


def is_stopped(pid: int) -> bool:
    return Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def test_predictions_do_not_depend_on_ranks(one: Group, trained: Path, small_run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    one.run("evaluate_copy", path=str(small_run), overrides=overrides(again, 2), source=str(trained / "model"))
    files = sorted(path.relative_to(trained / "predictions") for path in (trained / "predictions").rglob("*.tsv"))
    assert len(files) == 5
    for file in files:
        assert (again / "predictions" / file).read_bytes() == (trained / "predictions" / file).read_bytes(), file


@pytest.mark.parametrize("stage, stop_rank", [(2, 1), (3, 0)])
def test_an_evaluation_that_is_stopped_goes_on_from_its_batch(
    one: Group, two: Group, trained: Path, small_run: Path, tmp_path: Path, stage: int, stop_rank: int
) -> None:
    """Stopped twice, by a signal to one rank alone, then finished, by other ranks where these work for themselves."""
    source = {"source": str(trained / "model")}
    changes, folder = [*overrides(tmp_path / "run", stage), "runtime.eval_batch_tokens=256"], RunFolder(tmp_path / "run")
    whole = one.run("evaluate_stopped", path=str(small_run), overrides=[*changes, f"folder={tmp_path / 'whole'}"], **source)
    stop = {"path": str(small_run), "overrides": changes, "stop_rank": stop_rank}
    parts = [two.run("evaluate_stopped", **stop, **source, batches=3)]
    assert (folder.state, folder.stop.exists(), bool(list(folder.kept.glob("*.npz")))) == ("unfinished", False, True)
    parts.append(two.run("evaluate_stopped", **stop, batches=2))
    parts.append((one if stage == 2 else two).run("evaluate_stopped", path=str(small_run), overrides=changes))
    assert [part[0]["finished"] for part in parts] == [False, False, True]
    assert not folder.kept.exists()
    for file in (path.relative_to(trained / "predictions") for path in (trained / "predictions").rglob("*.tsv")):
        assert (folder.predictions / file).read_bytes() == (trained / "predictions" / file).read_bytes(), file
    made = [sum(rank["rows"] for rank in part) for part in parts]
    assert sum(made) == whole[0]["rows"] if stage == 2 else sum(made) >= whole[0]["rows"]  # dummies keep ranks in lockstep
    assert 0 < made[0] < whole[0]["rows"]


@pytest.mark.parametrize("exported", [True, False])
def test_a_model_folder_scores_as_the_run_that_it_came_from(
    one: Group, trained: Path, small_run: Path, tmp_path: Path, exported: bool
) -> None:
    model, out = trained / "model", tmp_path / "out"
    if exported:
        model = tmp_path / "model"
        done = CliRunner().invoke(main, ["export", str(trained), str(model)])
        assert done.exit_code == 0, done.output
        assert not (model / "heads.json").exists()
    described = run_of_checkpoint(str(model), ["cldr-topic", "cldr-names"], root=small_run.parent / "benchmark", out=out)
    one.run("evaluated", overrides=[*overrides_of(described), f"data.cache={small_run.parent / 'prepared'}"])
    expected, found = (json.loads(RunFolder(folder).scores.read_text())["tasks"] for folder in (trained, out))
    assert expected.keys() == found.keys()
    for name in expected:
        assert (found[name]["languages"], found[name]["mean"]) == (expected[name]["languages"], expected[name]["mean"])
    for file in (path.relative_to(trained / "predictions") for path in (trained / "predictions").rglob("*.tsv")):
        assert (out / "predictions" / file).read_bytes() == (trained / "predictions" / file).read_bytes(), file
