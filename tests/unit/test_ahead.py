"""Batches assembled ahead: the same ones, a bounded number of them, errors where they are requested, and an end."""

import os
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from batch_of import batch_of

from xdist.data.ahead import AHEAD, Ahead
from xdist.errors import RankError
from xdist.tasks.batch import Batch

STEPS = 6


class Steps:
    """Training data whose step n is one batch of row n; `broken` raises, and nothing is made while `held`."""

    steps, packed = STEPS, True

    def __init__(self, broken: int = -1) -> None:
        self.broken = broken
        self.made: list[int] = []
        self.held = threading.Event()
        self.held.set()

    def step(self, number: int, rank: int, world: int) -> list[Batch]:
        self.held.wait(10)
        self.made.append(number)
        if number == self.broken:
            raise ValueError(f"row {number} is broken")
        return [batch_of([[[0, 5, 2]]], [10 * number + rank + world])]


@pytest.mark.parametrize("processes", [1, 3])
def test_other_processes_make_the_same_batches(processes: int) -> None:
    data: Any = Steps(broken=4)
    ahead = Ahead(data, rank=1, world=2, device=torch.device("cpu"), processes=processes)
    try:
        for number in (0, 1, 2, 3, 5, 0):
            (batch,) = ahead.step(number)
            assert rows([batch]) == [10 * number + 3]
            assert (batch.host_lengths, batch.packing.lengths.tolist()) == ([3], [3])
        assert data.made == [], "nothing of it is done here"
        with pytest.raises(ValueError, match="row 4 is broken") as caught:
            ahead.step(4)
        assert "in step" in "".join(caught.value.__notes__), "where it broke is told"
        ahead.forget()
        data.broken = -1  # what decides on batches has changed: processes that know it are started
        assert rows(ahead.step(4)) == [43]
    finally:
        ahead.close()


def test_a_process_that_dies_is_one_line() -> None:
    data: Any = Steps()
    ahead = Ahead(data, rank=0, world=1, device=torch.device("cpu"), processes=1)
    data.step = lambda number, rank, world: os._exit(3)
    with pytest.raises(RankError, match="has died"):
        ahead.step(0)
    ahead.close()


@pytest.fixture
def made(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Ahead]]:
    data: Any = Steps(getattr(request, "param", -1))
    ahead = Ahead(data, rank=1, world=2, device=torch.device("cpu"))
    yield data, ahead
    ahead.close()


def rows(batches: Any) -> list[int]:
    return [row for batch in batches for row in batch.row_ids.tolist()]


def test_every_step_is_its_own_in_any_order(made: tuple[Any, Ahead]) -> None:
    data, ahead = made
    for number in [*range(STEPS), 2, 2, 0, 5, 3]:
        assert rows(ahead.step(number)) == [10 * number + 3]
    assert data.made[:STEPS] == list(range(STEPS))


def test_only_a_few_are_made_before_they_are_asked_for(made: tuple[Any, Ahead]) -> None:
    data, ahead = made
    ahead.step(0)
    deadline = time.monotonic() + 10
    while len(data.made) < 1 + AHEAD and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert data.made == list(range(1 + AHEAD))
    ahead.step(1)
    assert ahead.take_waited() < 5


def test_waiting_is_timed(made: tuple[Any, Ahead]) -> None:
    data, ahead = made
    data.held.clear()
    threading.Timer(0.2, data.held.set).start()
    ahead.step(0)
    assert ahead.take_waited() > 0.1
    assert ahead.take_waited() == 0


@pytest.mark.parametrize("made", [2], indirect=True)
def test_an_error_is_raised_where_its_step_is_asked_for(made: tuple[Any, Ahead]) -> None:
    _, ahead = made
    assert rows(ahead.step(1)) == [13]
    with pytest.raises(ValueError, match="row 2 is broken") as caught:
        ahead.step(2)
    assert any(frame.name == "step" and frame.filename == __file__ for frame in traceback.extract_tb(caught.tb))
    assert rows(ahead.step(3)) == [33]


def test_it_ends_with_work_left(made: tuple[Any, Ahead]) -> None:
    data, ahead = made
    ahead.step(0)
    ahead.close()
    count = len(data.made)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]
    assert len(data.made) == count
    with pytest.raises(RuntimeError):
        ahead.step(5)
