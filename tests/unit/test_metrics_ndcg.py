"""nDCG of graded relevance (WPR of XGLUE), by the vectors of its scorer and files that scikit-learn scored."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from batch_of import batch_of

from xdist.config import Evaluate
from xdist.errors import UserError
from xdist.evaluation.predicting import predictions_by_row
from xdist.formats.examples import Classified
from xdist.metrics import Given, metric
from xdist.metrics.ndcg import NDCG, ndcg, runs
from xdist.metrics.significance import Paired, intervals
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

FILES = [json.loads(line) for line in (Path(__file__).parent / "golden/ndcg_scikit_learn_1.9.1.jsonl").read_text().splitlines()]
LABELS = ("0", "1", "2", "3", "4")


def of(queries: str) -> Given:
    return Given("de", LABELS, [Classified(texts=(query, "page"), label="0") for query in queries])


def mean(queries: str, gold: str, predictions: str) -> float:
    return NDCG.of_rows(NDCG.rows_of(predictions.split(), gold.split(), of(queries)))["ndcg"] / 100


@pytest.mark.parametrize(
    "gold, predictions, value",
    [
        ("4 2 0", "4 2 0", 1.0),
        ("4 2 0", "0 1 2", 0.619906),
        ("4 2 0", "1 1 1", 0.809953),
        ("3 0 1", "2 2 0", 0.811471),
        ("0 0 0", "3 1 2", 0.0),
        ("4 1", "0 1", 0.760910),
        ("3 2 3 0 1", "2 2 1 1 0", 0.926737),
    ],
)
def test_ndcg_vectors_of_xglue(gold: str, predictions: str, value: float) -> None:
    assert mean("q" * len(gold.split()), gold, predictions) == pytest.approx(value, abs=5e-7)
    assert ndcg(list(map(float, gold.split())), list(map(float, predictions.split()))) == pytest.approx(value, abs=5e-7)


def test_a_query_is_a_run_of_consecutive_rows() -> None:
    """xglue: the same text later is another query, and a run of one row is left out."""
    assert runs("aabcca") == [slice(0, 2), slice(3, 5)]
    rows = NDCG.rows_of([4, 0, 1, 1, 1, 0], ["4", "0", "2", "1", "0", "3"], of("aabcca"))
    assert rows == pytest.approx(np.array([[1.0, 1], [0.815465, 1]]), abs=5e-7)
    assert mean("aabcca", "4 0 2 1 0 3", "4 0 1 1 1 0") == pytest.approx(0.907732, abs=5e-7)
    assert mean("aabb", "0 0 4 1", "1 2 4 1") == pytest.approx(0.5)  # all zero is 0 and counts


@pytest.mark.parametrize("number", range(len(FILES)))
def test_ndcg_is_scikit_learns(number: int) -> None:
    file = FILES[number]
    rows = NDCG.rows_of(file["predictions"], file["gold"], of(file["queries"]))
    assert rows[:, 0] == pytest.approx(file["scores"], abs=1e-12)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ndcg_of_queries_across_ranks(ranks: int) -> None:
    """Rows dealt out one by one, so that every query is on several ranks; each rank repeats a row of the next one."""
    for file in FILES:
        size = len(file["gold"])
        parts = [
            {(0, row): file["predictions"][row] for row in [*range(rank, size, ranks), (rank + 1) % size]}
            for rank in range(ranks)
        ]
        (found,) = predictions_by_row(parts, 1)
        rows = NDCG.rows_of([found[row] for row in sorted(found)], file["gold"], of(file["queries"]))
        assert rows[:, 0] == pytest.approx(file["scores"], abs=1e-12)


def test_ndcg_goes_through_the_bootstrap() -> None:
    """Rows are queries, whose number predictions do not change, so two systems are paired query by query."""
    gold, queries = [float(n % 5) for n in range(400)], "".join("abcd"[n // 5 % 4] for n in range(400))
    draw = np.random.default_rng(1)
    good, bad = (NDCG.rows_of(list(np.array(gold) + noise * draw.normal(size=400)), gold, of(queries)) for noise in (0.5, 9.0))
    assert good.shape == bad.shape == (80, 2)
    found = intervals({"de": Paired(good[None], bad[None])}, NDCG)["de"]
    assert 0 < found.low < found.difference < found.high
    assert found.difference == pytest.approx(100 * (good[:, 0].mean() - bad[:, 0].mean()))


def test_ndcg_needs_numbers_for_labels() -> None:
    assert metric("ndcg").refusal("classification", LABELS, ("de",)) is None
    assert metric("ndcg").refusal("classification", ("0", "-1"), ()) == "metric 'ndcg': label '-1' is no number from 0 on"
    with pytest.raises(ValueError, match="3 predictions and 2 labels for 2 examples"):
        NDCG.rows_of([1, 2, 3], [1, 2], of("aa"))
    with pytest.raises(UserError, match="'ndcg' scores classification, not tagging"):
        raise UserError(metric("ndcg").refusal("tagging", LABELS, ()) or "")


def test_ndcg_pages_are_ranked_by_class_or_by_expected_grade() -> None:
    """The same outputs: by the likeliest grade the first two tie, by the mean grade they do not."""
    family = family_of(task("xglue-wpr"))
    outputs = torch.log(torch.tensor([[0.1, 0.1, 0.5, 0.2, 0.1], [0.3, 0.1, 0.5, 0.05, 0.05], [0.9, 0.1, 1e-9, 1e-9, 1e-9]]))
    predicted = family.predict(outputs, batch_of([[[0, 2]]] * 3))
    asked = [Evaluate(tasks=("xglue-wpr",), relevance=how) for how in ("class", "expected")]  # type: ignore[arg-type]
    found = []
    for how in asked:
        family.finish_as(how, None)
        found.append(family.finish(predicted, SimpleNamespace(), []))  # type: ignore[arg-type]
    assert found == [["2", "2", "0"], ["2.100000", "1.450000", "0.100000"]]
    plain = family_of(task("xglue-qam")).predict(torch.tensor([[0.0, 1.0]]), batch_of([[[0, 2]]]))
    assert plain[0].shape == ()
