"""A model that gives the same output for everything is reported: by real evaluations in this process, in reports and in
TensorBoard."""

import json
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import yaml
from click.testing import CliRunner
from resolved_of import deepspeed_of, prepared_of, request_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import tiny_benchmark, tiny_model

from xdist.cli import main
from xdist.config import load_run
from xdist.data.tokenizer import load_tokenizer
from xdist.evaluation.evaluator import evaluate
from xdist.evaluation.scores import Scores, collapse_lines
from xdist.formats.examples import Classified, Question, Tagged
from xdist.model.encoder import load_encoder
from xdist.model.folder import save_model
from xdist.model.model import Model
from xdist.run.folder import RunFolder
from xdist.run.recorded import recorded_scores
from xdist.run.sinks import Start
from xdist.tasks.catalog import task
from xdist.tasks.collapse import collapse_of
from xdist.tasks.family import family_of

TASKS = ("cldr-spans", "cldr-topic")
WORDS = [Tagged(words=("a", "b"), tags=("O", "B-PER"))] * 3
LABELS = [Classified(texts=("a",), label=label) for label in "abcab"]


@pytest.mark.parametrize(
    "predictions, examples, expected",
    [
        ([["O", "O"]] * 3, WORDS, {"predictions": 6, "are": "O"}),
        ([["O", "O"], ["O", "B-PER"]] * 2, WORDS, None),
        ([["O", "O"]] * 2, WORDS, None),  # too few to say
        ([["O", "O"]] * 3, [Tagged(words=("a", "b"), tags=("O", "O"))] * 3, None),  # and so they are
        (["b"] * 5, LABELS, {"predictions": 5, "are": "b"}),
        (["b"] * 5, [Classified(texts=("a",))] * 5, {"predictions": 5, "are": "b"}),  # without gold
        ([0] * 5, LABELS, {"predictions": 5, "are": "0"}),
        (list("ababa"), LABELS, None),
        (
            {str(n): "" for n in range(5)},
            [Question(key="k", id="k", question="", context="")],
            {"predictions": 5, "are": "empty"},
        ),
        ({str(n): ["x", "y"] for n in range(5)}, [], {"predictions": 5, "are": "['x', 'y']"}),
        ([], [], None),
    ],
)
def test_what_a_collapse_is(predictions: Any, examples: list[Any], expected: dict[str, Any] | None) -> None:
    assert collapse_of(predictions, examples) == expected


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose model gives every word the tag O and every name another topic's logits."""
    place = tmp_path_factory.mktemp("collapsed")
    backbone = tiny_model(place / "encoder", tiny_benchmark(place / "benchmark"))
    description = {
        "name": "collapsed",
        "folder": str(place / "run"),
        "model": {"backbone": str(place / "model")},
        "data": {"root": str(place / "benchmark"), "cache": str(place / "prepared")},
        "evaluate": {"tasks": list(TASKS)},
    }
    (place / "run.yaml").write_text(yaml.safe_dump(description))
    run, tokenizer = load_run(place / "run.yaml"), load_tokenizer(str(backbone))
    section = run.model.model_copy(update={"backbone": str(backbone)})
    model = Model(load_encoder(section, tokenizer, torch.float32), {name: family_of(task(name)) for name in TASKS}, 1)
    with torch.no_grad():
        *_, bias = model.heads["cldr-spans"].parameters()
        bias[task("cldr-spans").labels.index("O")] += 1000
        for head in model.heads["cldr-topic"].parameters():
            head.mul_(100)
    save_model(place / "model", model, model.state_dict(), tokenizer)
    preparation = prepared_of(run, tokenizer, "evaluate")
    preparation.make_missing()
    RunFolder(run.folder).open(run, None, {})
    start, config = Start(run.folder, run.name, run.dump()), deepspeed_of({"zero_optimization": {"stage": 0}})
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        with redirect_stderr(StringIO()) as said:
            evaluate(request_of(run), run.model, run.runtime, config, preparation, start, run.seed)
    finally:
        dist.destroy_process_group()
    (place / "said").write_text(said.getvalue())
    return place


def test_it_is_told_at_the_end(evaluated: Path) -> None:
    entry = recorded_scores(evaluated / "run/scores.json")["tasks"]["cldr-spans"]
    assert set(entry["collapsed"]) == set(entry["languages"])
    assert all(one["are"] == "O" and one["predictions"] > one_count for one, one_count in _counts(entry))
    lines = collapse_lines(request_of(load_run(evaluated / "run.yaml")))
    assert all(line in (evaluated / "said").read_text() for line in lines)
    assert any(line.startswith("cldr-spans: all ") and " predictions are O: " in line for line in lines)


def _counts(entry: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """Tags are more than the sentences that are counted."""
    return [(one, int(entry["languages"][code]["count"])) for code, one in entry["collapsed"].items()]


def test_tensorboard_shows_it(evaluated: Path) -> None:
    events = EventAccumulator(str(evaluated / "run/tensorboard"))
    events.Reload()
    (text,) = events.Tensors("eval/cldr-spans/collapsed/text_summary")
    assert b"predictions are O" in text.tensor_proto.string_val[0]


def test_reports_say_it(evaluated: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["report", str(evaluated / "run"), "--out", str(tmp_path / "alone")])
    assert done.exit_code == 0, done.output
    assert "predictions are O" in done.output.replace("\n", " ")
    for name in ("report.md", "report.html", "report.json"):
        assert "predictions are O" in (tmp_path / "alone" / name).read_text(), name
    done = CliRunner().invoke(
        main, ["report", str(evaluated / "run"), "--against", str(evaluated / "run"), "--out", str(tmp_path / "against")]
    )
    assert done.exit_code == 0, done.output
    notes = json.loads((tmp_path / "against" / "report.json").read_text())["notes"]
    assert any(note.startswith("collapsed, seed 1: cldr-spans: all ") for note in notes)


def test_it_is_forgotten_with_what_it_was_said_of(tmp_path: Path) -> None:
    scores, one = Scores(tmp_path / "scores.json", "mine"), {"predictions": 9, "are": "a"}
    found = {"en": {"accuracy": 50.0, "count": 9}}
    scores.add(task("xnli"), "test", [], {**found, "sw": found["en"]}, collapsed={"en": one, "sw": one})
    scores.add(task("xnli"), "test", [], found, collapsed={})
    assert recorded_scores(scores.path)["tasks"]["xnli"]["collapsed"] == {"sw": one}
    scores.add(task("xnli"), "dev", [], found)
    assert "collapsed" not in recorded_scores(scores.path)["tasks"]["xnli"]
