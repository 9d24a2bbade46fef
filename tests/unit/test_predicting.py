"""The forward passes of an evaluation: batches are made beside them, and what comes out is read one pass late."""

import threading
from typing import Any

import numpy as np
import pytest
import torch

from xdist.data.batches import collate
from xdist.data.subset import Subset
from xdist.evaluation import predicting
from xdist.evaluation.predicting import Stopped, predict_rows
from xdist.evaluation.queue import ForwardRows
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

BATCHES = 5


class Row:
    def row(self, number: int) -> dict[str, Any]:
        return {"tokens": np.array([0, 4 + number, 2]), "lengths": [3], "label": 0}


class Model:
    packed, width = True, 4


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens in which order, but for the making of batches, whose threads are in `makers`."""
    events: list[str] = []
    family = family_of(task("xnli"))
    plain = type(family).predict
    makers.clear()

    def read(self: Any, outputs: torch.Tensor, batch: Any) -> Any:
        events.append(f"read {batch.row_ids[0] & 0xFF}")
        return plain(self, outputs, batch)

    def noted(*arguments: Any, **options: Any) -> Any:
        makers.add(threading.current_thread())
        return collate(*arguments, **options)

    monkeypatch.setattr(type(family), "predict", read)
    monkeypatch.setattr(predicting, "collate", noted)
    monkeypatch.setattr(predicting.distributed, "every", lambda value: [value])  # of one rank, without a group
    return events


makers: set[threading.Thread] = set()


def predicted(events: list[str], work: list[ForwardRows], **more: Any) -> Any:
    def forward(model: Any, family: Any, batch: Any) -> torch.Tensor:
        events.append(f"pass {batch.row_ids[0] & 0xFF}")
        return torch.nn.functional.one_hot(batch.tokens.view(-1, 3)[:, 1] % 3, 3).float()

    language = Subset(task("xnli"), "test", "en")
    model: Any = Model()
    rows: Any = [Row()]
    return predict_rows(model, family_of(task("xnli")), [language], rows, 1, work, forward, **more)


def test_a_pass_is_read_when_the_next_has_begun_and_batches_are_made_beside(said: list[str]) -> None:
    work = [ForwardRows(((0, 2 * number), (0, 2 * number + 1)), 6) for number in range(BATCHES)]
    counted: list[int] = []
    found = predicted(said, work, advance=counted.append)
    assert said == [
        *("pass 0", "pass 2", "read 0", "pass 4", "read 2", "pass 6", "read 4", "pass 8", "read 6", "read 8"),
    ]
    assert threading.current_thread() not in makers
    assert len(makers) == 1
    assert not any(thread.is_alive() for thread in makers)
    assert found == {(0, row): (4 + row) % 3 for row in range(2 * BATCHES)}
    assert counted == [2] * BATCHES


def test_what_is_known_and_what_stands_in_keep_their_places_and_a_stop_loses_nothing(said: list[str]) -> None:
    work = [ForwardRows(((0, number),), 3, dummy=number == 3) for number in range(BATCHES)]
    known = {(0, 1): np.int64(7)}
    found = predicted(said, work, known=known)
    assert found == {(0, 0): 1, (0, 1): 7, (0, 2): 0, (0, 4): 2}
    assert [event for event in said if event.startswith("read")] == ["read 0", "read 2", "read 4"]
    asked = iter([False, False, True])
    with pytest.raises(Stopped) as stopped:
        predicted(said, work, stop=lambda: next(asked))
    assert stopped.value.found == {(0, 0): 1, (0, 1): 2}
    assert not any(thread.is_alive() for thread in makers)


def test_what_goes_wrong_in_a_batch_is_raised(said: list[str]) -> None:
    work = [ForwardRows(((0, number),), 3) for number in (0, "?", 2)]  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        predicted(said, work)
