"""Where scalars, texts and figures go: each step once, however often a run is stopped, and no failure there ends a run."""

import io
import json
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from pages import ROOT, shown
from PIL import Image
from registered import forgetting
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from xdist import plugins
from xdist.errors import UserError
from xdist.evaluation.evaluator import show_scores
from xdist.languages import CC100
from xdist.run.sinks import SINKS, Sink, Sinks, Start, TensorBoard, register
from xdist.run.sinks.json_lines import last_step
from xdist.tasks.catalog import task

OURS = ("jsonl", "tensorboard")


def life(folder: Path, resumed: int, steps: range, loss: float, names: tuple[str, ...] = OURS) -> None:
    """Log from `resumed` on, as one start of a run does."""
    sinks = Sinks(names, Start(folder, "mine", {}, resumed))
    for step in steps:
        sinks.scalars(step, {"train/loss": loss, "train/lr": 1e-5})
    sinks.close()


def logged(folder: Path) -> list[tuple[int, float]]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [(line["step"], line["train/loss"]) for line in map(json.loads, lines)]


def accumulated(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    return accumulator


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("xdist")]


def events(folder: Path, name: str = "train/loss") -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in accumulated(folder).Scalars(name)]


@pytest.mark.parametrize("resumed, expected", [(4, [1.0, 1.0, 1.0, 1.0, 2.0, 2.0]), (0, [2.0] * 6)])
def test_a_resumed_run_forgets_what_it_does_again(tmp_path: Path, resumed: int, expected: list[float]) -> None:
    life(tmp_path, 0, range(1, 7), 1.0)
    life(tmp_path, resumed, range(resumed + 1, 7), 2.0)
    assert logged(tmp_path) == list(enumerate(expected, 1))
    assert events(tmp_path) == list(enumerate(expected, 1))


@pytest.mark.parametrize("torn", ['{"step": 3, "train/lo', '{"step": 3, "train/loss": 1.0}', "\0\0\0\0", "{3}", "[]\n{}"])
def test_a_torn_last_line_is_survived(tmp_path: Path, torn: str) -> None:
    life(tmp_path, 0, range(1, 3), 1.0)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(torn)
    life(tmp_path, 2, range(3, 5), 2.0)
    assert logged(tmp_path) == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]


class Room:
    """Files may grow to `size` bytes, as on a disk that is full."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        self.limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.limits[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_full_disk_costs_lines_and_tears_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sinks = Sinks(OURS, Start(tmp_path, "mine", {}, 0))
    sinks.scalars(1, {"train/loss": 1.0})
    with Room((tmp_path / "metrics.jsonl").stat().st_size + 10):
        for step in range(2, 5):
            sinks.scalars(step, {"train/loss": 1.0, "text": step * 1e-9})
            sinks.flush()
    sinks.scalars(5, {"train/loss": 1.0})
    sinks.close()
    assert logged(tmp_path) == [(1, 1.0), (5, 1.0)]
    assert (5, 1.0) in events(tmp_path)
    told = warnings(caplog)
    # metrics.jsonl is the record of the run: every step that it lacks is named.
    assert [line for line in told if "metrics.jsonl" in line] == [
        f"step {step} is missing from {tmp_path / 'metrics.jsonl'}: no room" for step in (2, 3, 4)
    ]
    assert [line for line in told if "metrics.jsonl" not in line] == [
        "what sink 'tensorboard' shows of mine is incomplete, the run continues: File too large"
    ]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_disk_that_is_full_at_the_start_costs_what_had_no_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    life(tmp_path, 0, range(1, 4), 1.0)
    with Room(0):
        sinks = Sinks(OURS, Start(tmp_path, "mine", {}, 1))
        sinks.scalars(2, {"train/loss": 2.0})
    sinks.scalars(3, {"train/loss": 2.0})
    sinks.close()
    assert logged(tmp_path) == events(tmp_path) == [(1, 1.0), (3, 2.0)]  # step 2 of the first start is dropped as ever
    assert warnings(caplog) == [
        f"step 2 is missing from {tmp_path / 'metrics.jsonl'}: File too large",
        "what sink 'tensorboard' shows of mine is incomplete, the run continues: File too large",
    ]


def test_tensorboard_shows_texts_figures_and_hyperparameters(tmp_path: Path) -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    sinks = Sinks(("tensorboard",), Start(tmp_path, "mine", {}))
    sinks.text(3, "configuration", "**seed** 1")
    sinks.figure(4, "table", png.getvalue())
    sinks.hparams({"seed": 1, "robust": "none"}, {"score/xnli": 70.5})
    sinks.close()
    found = accumulated(tmp_path)
    (text,) = found.Tensors("configuration/text_summary")
    assert (text.step, text.tensor_proto.string_val) == (3, [b"**seed** 1"])
    (image,) = found.Images("table")
    assert (image.step, image.width, image.height) == (4, 5, 4)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(image.encoded_image_string))), pixels)
    assert events(tmp_path, "score/xnli") == [(0, 70.5)]
    assert "_hparams_/session_start_info" in found.summary_metadata


def shown_scores(folder: Path, name: str, found: dict[str, dict[str, float]]) -> None:
    sinks = Sinks(("tensorboard",), Start(folder, "mine", {}))
    show_scores(sinks, last_step(folder / "metrics.jsonl"), task(name), found)
    if name == "xnli":  # an evaluation that is killed has shown what it has scored
        assert events(folder, "eval/xnli/en")
    sinks.close()


def test_scores_stand_at_the_last_step(tmp_path: Path) -> None:
    life(tmp_path, 0, range(1, 6), 1.0)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    shown_scores(tmp_path, "xnli", {"en": {"accuracy": 80.5}, "sw": {"accuracy": 50.0}, "qu": {}})
    assert events(tmp_path, "eval/xnli/en") == [(5, 80.5)]
    assert events(tmp_path, "eval/xnli/sw") == [(5, 50.0)]
    assert "eval/xnli/qu" not in accumulated(tmp_path).Tags()["scalars"]
    assert events(tmp_path) == list(enumerate([1.0] * 5, 1))
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_scores_of_a_run_that_did_not_train(tmp_path: Path) -> None:
    shown_scores(tmp_path, "panx", {"en": {"f1": 7.0}})
    assert events(tmp_path, "eval/panx/en") == [(0, 7.0)]


class Broken(Sink):
    """It raises at every call."""

    name = "broken"

    def __init__(self, start: Start) -> None:
        self.calls: list[str] = start.config["calls"]

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.calls.append("scalars")
        raise ConnectionError("no route to the tracker\nand more of it")

    def flush(self) -> None:
        self.calls.append("flush")
        raise KeyError("run")

    def close(self) -> None:
        self.calls.append("close")
        raise OSError(28, "No space left on device")


class Shut(Broken):
    name = "shut"

    def __init__(self, start: Start) -> None:
        raise PermissionError("no key")


@pytest.fixture
def others(tmp_path: Path) -> Iterator[None]:
    """Sinks of others, the one of the how-to page among them."""
    (program,) = (text for name, text in shown(ROOT / "docs/how-to/own-sink.md") if name == "csv_sink.py")
    assert len(program.splitlines()) <= 25
    (tmp_path / "csv_sink.py").write_text(program, encoding="utf-8")
    with forgetting():
        register(Broken)
        register(Shut)
        plugins.pinned(str(tmp_path / "csv_sink.py"))
        yield


def test_the_sink_of_the_how_to_forgets_what_is_done_again(tmp_path: Path, others: None) -> None:
    life(tmp_path, 0, range(1, 4), 1.0, ("csv",))
    with (tmp_path / "scalars.csv").open("a") as file:
        file.write("1")  # of step 12, when the run was killed
    life(tmp_path, 2, range(3, 5), 2.0, ("csv",))
    sinks = Sinks(("csv",), Start(tmp_path, "mine", {}))
    show_scores(sinks, 4, task("panx"), {"en": {"f1": 7.0}})
    rows = [line.split(",") for line in (tmp_path / "scalars.csv").read_text().splitlines()]
    assert [row for row in rows if row[1] != "train/lr"] == [
        *([str(step), "train/loss", loss] for step, loss in ((1, "1.0"), (2, "1.0"), (3, "2.0"), (4, "2.0"))),
        ["4", "eval/panx/en", "7.0"],
    ]


def test_a_sink_that_fails_is_told_once_and_ends_nothing(
    tmp_path: Path, others: None, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []
    for resumed in (0, 3):  # training, then evaluation, of one process
        sinks = Sinks(("shut", "jsonl", "broken", "tensorboard", "broken"), Start(tmp_path, "mine", {"calls": calls}, resumed))
        for step in range(resumed + 1, resumed + 4):
            sinks.scalars(step, {"train/loss": 1.0})
        sinks.flush()
        sinks.close()
    assert calls == ["scalars", "scalars", "scalars", "flush", "close"] * 2
    assert logged(tmp_path) == events(tmp_path) == list(enumerate([1.0] * 6, 1))
    assert warnings(caplog) == [
        "what sink 'shut' shows of mine is incomplete, the run continues: PermissionError: no key",
        "what sink 'broken' shows of mine is incomplete, the run continues: ConnectionError: no route to the tracker",
    ]


def test_a_name_is_one_sinks(others: None) -> None:
    class Other(Broken):
        name = "tensorboard"

    with pytest.raises(UserError, match=r"^sink 'tensorboard' is already registered, in .*xdist/run/sinks/__init__\.py$"):
        register(Other)
    assert SINKS.get("tensorboard") is TensorBoard


def test_tensorboard_opens_on_what_is_looked_at_first(tmp_path: Path) -> None:
    """Its page has a section for what is before the first "/" of names, in the order of letters."""
    sinks = Sinks(("tensorboard",), Start(tmp_path, "mine", {"train": {"steps": 4}, "seed": 1}, 0))
    epochs = {f"epochs/xnli/{n}": 1.0 for n in range(10)}
    sinks.scalars(1, {**epochs, "train/loss": 2.0, "train/lr": 1e-5, "train/tokens_per_second": 9.0, "dev/value": 3.0})
    found = {"en": {"accuracy": 80.0}, "de": {"accuracy": 70.0}, "sw": {"accuracy": 40.0}}
    show_scores(sinks, 4, task("xnli"), found, read=CC100)
    sinks.outcome({"score/xnli": 63.3})
    sinks.close()
    shown = accumulated(tmp_path)
    names = sorted(shown.Tags()["scalars"])
    first = [name for name in names if name.split("/")[0] == names[0].split("/")[0]]
    assert first == [
        "at a glance/1 loss",
        "at a glance/2 learning rate",
        "at a glance/3 tokens per second",
        "at a glance/4 dev",
        "at a glance/5 xnli/all languages",
        "at a glance/5 xnli/high",
        "at a glance/5 xnli/low",
    ]
    assert events(tmp_path, "mean/xnli/high") == [(4, 75.0)]
    assert events(tmp_path, "at a glance/1 loss") == events(tmp_path) == [(1, 2.0)]
    (text,) = shown.Tensors("configuration/text_summary")
    assert text.tensor_proto.string_val == [b"```yaml\ntrain:\n  steps: 4\nseed: 1\n```"]
    assert "custom_scalars__config__" in shown.summary_metadata
    assert "_hparams_/session_start_info" in shown.summary_metadata
