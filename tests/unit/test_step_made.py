"""Making a rank's part of a large step: what the rows of all ranks cost in addition to its own, in things that no machine
changes."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from resolved_of import data_of, prepared_of

from xdist.config import load_run
from xdist.data import permutation
from xdist.data.batches import TrainingData, collate
from xdist.data.grouping import group_by_value
from xdist.data.plan import Plan
from xdist.data.tokenizer import load_tokenizer

ROWS, RANKS = 8192, 64


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    from tiny import tiny_benchmark, tiny_model

    folder = tmp_path_factory.mktemp("large")
    encoder = tiny_model(folder / "encoder", tiny_benchmark(folder / "tiny"), layers=1)
    pairs = [f"{'old ' * (3 + number % 17)}{number % 90}\tterritory" for number in range(12_000)]
    (folder / "root/cldr-topic").mkdir(parents=True)
    (folder / "root/cldr-topic/train-en.tsv").write_text("\n".join(pairs) + "\n", encoding="utf-8")
    path = folder / "run.yaml"
    path.write_text(
        f"name: large\nfolder: {folder / 'run'}\nmodel: {{backbone: {encoder}}}\n"
        f"data: {{root: {folder / 'root'}, cache: {folder / 'prepared'}}}\n"
        f"train: {{tasks: [{{task: cldr-topic}}], steps: 100, batch_size: {ROWS}}}\n"
    )
    run = load_run(path)
    preparation = prepared_of(run, load_tokenizer(encoder))
    preparation.make_missing()
    return data_of(run, preparation)


def calls(work: Callable[[], Any]) -> int:
    """Calls of functions, of Python and of C, that `work` makes."""
    found = 0

    def note(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal found
        found += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return found


def test_the_rows_of_others_are_not_gone_through_one_by_one(large: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 64 times its own rows in the step, a rank makes fewer than twice the calls that its own rows take alone; and once it
    knows the order and the lengths of a set, it reckons no order and opens no list of lengths again."""
    (family,) = large.families.values()
    (shards,) = large.shards
    own = large.plan.step(1).row[: ROWS // RANKS].tolist()
    alone = calls(lambda: collate([shards.row(row) for row in own], own, family, languages=["en"] * len(own)))
    large.step(0, 3, RANKS)
    monkeypatch.setattr(permutation, "_mix_with_key", None)
    monkeypatch.setattr(type(shards), "_begins", None)
    assert large.plan.step(0).epoch.max() == 0
    assert calls(lambda: large.step(0, 3, RANKS)) < 2 * alone


def test_many_sets_cost_a_few_calls_each() -> None:
    plan = Plan([5000] * 100, [1.0] * 100, ROWS, 1)
    plan.step(0)
    assert calls(lambda: plan.step(0)) < 100 * 20


@pytest.mark.parametrize("count", [1, 7, 70_000])
def test_places_by_value(count: int) -> None:
    values = np.random.default_rng(count).integers(0, count, 500)
    found = dict(group_by_value(values))
    assert sorted(found) == np.unique(values).tolist()
    assert all(np.array_equal(places, np.flatnonzero(values == value)) for value, places in found.items())
