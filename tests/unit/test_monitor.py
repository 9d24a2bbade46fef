"""Scalars of a run that is stopped and goes on: each step once, in metrics.jsonl and in TensorBoard."""

import json
import resource
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from xdist.runtime.monitor import Monitor, write_scores


def life(folder: Path, resumed: int, steps: range, loss: float) -> None:
    """Log from `resumed` on, as one start of a run does."""
    monitor = Monitor(folder / "metrics.jsonl", folder / "tensorboard", resumed)
    for step in steps:
        monitor.write(step, {"train/loss": loss, "train/lr": 1e-5})
    monitor.close()


def logged(folder: Path) -> list[tuple[int, float]]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [(line["step"], line["train/loss"]) for line in map(json.loads, lines)]


def events(folder: Path, name: str = "train/loss") -> list[tuple[int, float]]:
    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    return [(event.step, event.value) for event in accumulator.Scalars(name)]


@pytest.mark.parametrize("resumed, expected", [(4, [1.0, 1.0, 1.0, 1.0, 2.0, 2.0]), (0, [2.0] * 6)])
def test_a_resumed_run_forgets_what_it_does_again(tmp_path: Path, resumed: int, expected: list[float]) -> None:
    life(tmp_path, 0, range(1, 7), 1.0)
    life(tmp_path, resumed, range(resumed + 1, 7), 2.0)
    assert logged(tmp_path) == list(enumerate(expected, 1))
    assert events(tmp_path) == list(enumerate(expected, 1))


@pytest.mark.parametrize("torn", ['{"step": 3, "train/lo', '{"step": 3, "train/loss": 1.0}', "\0\0\0\0"])
def test_a_torn_last_line_is_survived(tmp_path: Path, torn: str) -> None:
    life(tmp_path, 0, range(1, 3), 1.0)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(torn)
    life(tmp_path, 2, range(3, 5), 2.0)
    assert logged(tmp_path) == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_full_disk_costs_lines_and_tears_none(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path / "metrics.jsonl", tmp_path / "tensorboard")
    monitor.write(1, {"train/loss": 1.0})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "metrics.jsonl").stat().st_size + 10, limits[1]))
    try:
        for step in range(2, 5):
            monitor.write(step, {"train/loss": 1.0, "text": step * 1e-9})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    monitor.write(5, {"train/loss": 1.0})
    monitor.close()
    assert logged(tmp_path) == [(1, 1.0), (5, 1.0)]


def test_scores_stand_at_the_last_step(tmp_path: Path) -> None:
    life(tmp_path, 0, range(1, 6), 1.0)
    scores = {"en": {"accuracy": 80.5}, "sw": {"accuracy": 50.0}, "qu": {}}
    write_scores(tmp_path / "metrics.jsonl", tmp_path / "tensorboard", "xnli", scores, "accuracy")
    assert events(tmp_path, "eval/xnli/en") == [(5, 80.5)]
    assert events(tmp_path, "eval/xnli/sw") == [(5, 50.0)]
    accumulator = EventAccumulator(str(tmp_path / "tensorboard"))
    accumulator.Reload()
    assert "eval/xnli/qu" not in accumulator.Tags()["scalars"]


def test_scores_of_a_run_that_did_not_train(tmp_path: Path) -> None:
    scores = {"en": {"f1": 7.0}}
    write_scores(tmp_path / "metrics.jsonl", tmp_path / "tensorboard", "panx", scores, "f1")
    assert events(tmp_path, "eval/panx/en") == [(0, 7.0)]
