"""A metric that others wrote, in its own file: it scores, its intervals are about its score, or it is refused."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import ROOT, shown
from registered import forgetting
from test_significance import LEAST, TRIALS, counted

from xdist import plugins
from xdist.errors import UserError
from xdist.files import digest
from xdist.metrics import Given, Metric, metric, missing_metric, register
from xdist.metrics.accuracy import ACCURACY
from xdist.metrics.pooled import replicate
from xdist.metrics.significance import Paired, group_interval
from xdist.report.answer import answer
from xdist.report.comparison import compare
from xdist.report.results import Condition, Results, TaskResult
from xdist.report.task_table import task_rows

FILE = ROOT / "tests/third_party/balanced_accuracy.py"
LABELS = ("politics", "sport", "health", "travel")


@contextmanager
def registering(*metrics: Metric) -> Iterator[None]:
    """These, and what is registered inside, are known inside."""
    with forgetting():
        for one in metrics:
            register(one)
        yield


def loaded(name: str, file: Path) -> Metric:
    with registering():
        plugins.pinned(str(file))
        return metric(name)


BALANCED = loaded("balanced-accuracy", FILE)


def balanced_accuracy(predictions: list[str], gold: list[str]) -> float:
    """By the definition, in exact fractions: what scikit-learn's balanced_accuracy_score(gold, predictions) is, x 100."""
    found = []
    for label in sorted(set(gold)):
        right = sum(one == other == label for one, other in zip(predictions, gold, strict=True))
        found.append(Fraction(right, gold.count(label)))
    return float(100 * sum(found) / len(found))


def rows(predictions: list[str], gold: list[str]) -> np.ndarray:
    return BALANCED.rows_of(predictions, gold, Given(labels=LABELS))


def answers(rng: np.random.Generator, size: int, right: float, gold: list[str] | None = None) -> list[str]:
    """Labels of which the first are frequent, or predictions of `gold` that are right so often and else lean to the first."""
    drawn = rng.choice(LABELS, size=size, p=(0.55, 0.3, 0.1, 0.05)).tolist()
    return drawn if gold is None else [g if rng.random() < right else d for g, d in zip(gold, drawn, strict=True)]


@pytest.mark.parametrize(
    "gold, predictions, value",
    [  # the values were made by running scikit-learn 1.9.1
        ("a a a b b c", "a a b b c c", 0.7222222222222222),
        ("a a b b", "a a a a", 0.5),
        ("a a b", "c c c", 0.0),
        ("a b c d", "a b c d", 1.0),
        ("a a a b", "a a a a", 0.5),
    ],
)
def test_the_definition_is_scikit_learns(gold: str, predictions: str, value: float) -> None:
    named = dict(zip("abcd", LABELS, strict=True))
    sides = [[named[one] for one in side.split()] for side in (predictions, gold)]
    assert balanced_accuracy(*sides) == pytest.approx(100 * value, abs=1e-12)
    assert BALANCED.of_rows(rows(*sides)) == {"balanced_accuracy": pytest.approx(100 * value, abs=1e-12)}


def test_the_metric_of_the_page_scores(tmp_path: Path) -> None:
    (tmp_path / "distance.py").write_text(dict(shown(ROOT / "docs/how-to/own-task.md"))["distance.py"], encoding="utf-8")
    distance = loaded("distance", tmp_path / "distance.py")
    found = distance.rows_of(["health", "sport"], ["politics", "sport"], Given(labels=LABELS))
    assert distance.of_rows(found) == {"distance": 1.0}
    assert (distance.sign, distance.range) == (-1, (0.0, float("inf")))
    assert compare([{"sw": found}], [{"sw": found * 2}], distance).languages["sw"].interval.difference == 0


def test_the_file_is_short() -> None:
    assert len(FILE.read_text(encoding="utf-8").splitlines()) <= 25


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_differences_are_those_of_the_scores(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    gold = {code: answers(rng, size, 1) for code in ("sw", "de")}
    given_by = [{code: answers(rng, size, right, gold[code]) for code in gold} for right in (0.8, 0.6)]
    a, b = ({code: rows(said[code], gold[code]) for code in gold} for said in given_by)
    found = compare([a], [b], BALANCED)
    for code, row in found.languages.items():
        first, second = (balanced_accuracy(said[code], gold[code]) for said in given_by)
        assert (row.a, row.b) == (pytest.approx(first, abs=1e-9), pytest.approx(second, abs=1e-9))
        assert row.interval.difference == pytest.approx(first - second, abs=1e-9)


def test_every_draw_is_scored_as_a_test_set_is() -> None:
    rng = np.random.default_rng(0)
    gold = answers(rng, 40, 1)
    said = {name: answers(rng, 40, right, gold) for name, right in (("a", 0.8), ("b", 0.5))}
    found = replicate({name: {"sw": rows(one, gold)} for name, one in said.items()}, BALANCED, "task", draws=30)
    assert found.observed[:, 0].tolist() == pytest.approx([balanced_accuracy(one, gold) for one in said.values()])
    # The same draws again, each a separate test set, its examples one by one.
    drawing = np.random.default_rng([0, int(digest("task"), 16), 40])
    for number, draw in enumerate(drawing.integers(40, size=(30, 40))):
        expected = [balanced_accuracy([one[n] for n in draw], [gold[n] for n in draw]) for one in said.values()]
        assert found.drawn[number, :, 0].tolist() == pytest.approx(expected)


def test_intervals_cover_the_true_difference() -> None:
    rng = np.random.default_rng(2)
    gold = answers(rng, 200_000, 1)
    truth = balanced_accuracy(answers(rng, len(gold), 0.75, gold), gold) - balanced_accuracy(
        answers(rng, len(gold), 0.6, gold), gold
    )
    found = []
    for trial in range(TRIALS):
        gold = answers(rng, 150, 1)
        a, b = (rows(answers(rng, 150, right, gold), gold)[None] for right in (0.75, 0.6))
        found.append(group_interval({"sw": Paired(a, b)}, BALANCED, seed=trial, draws=200))
    assert fmean(one.low <= truth <= one.high for one in found) >= LEAST
    widths = float(np.median([one.high - one.low for one in found]))
    assert widths < 2 * 2.3 * float(np.std([one.difference for one in found]))


# --- what cannot be a score is refused at the first set it scores, or before it is next to an interval -------------------
def mixed(sums: np.ndarray) -> np.ndarray:
    return sums[:, 0] / sums[:, 1].sum()


@pytest.mark.parametrize(
    "score, message",
    [
        (lambda sums: {"accuracy": mixed(sums)}, "the score of a selection of rows depends on the other selections"),
        (lambda sums: {"accuracy": sums[0, 0] / sums[0, 1]}, r"accuracy of 2 selections has shape \(\)"),
        (lambda sums: {"accuracy": sums.mean(axis=0)}, "depends on the other selections|which is not within 0 to 1"),
        (lambda sums: {"accuracy": 100 * sums[:, 0] / sums[:, 1]}, "accuracy is 50, which is not within 0 to 1"),
        (lambda sums: {"accuracy": sums[:, 0] * np.nan}, "accuracy is nan, which is not within 0 to 1"),
        (lambda sums: {"right": sums[:, 0] / sums[:, 1]}, "gives right, not accuracy"),
        (lambda sums: {"accuracy": sums[:, 0] / sums[:, 1], "f1": sums[:, 0]}, "gives accuracy, f1, not accuracy"),
    ],
)
def test_what_is_no_score_is_refused(score: Callable[[np.ndarray], Any], message: str) -> None:
    wrong = replace(ACCURACY, name="wrong", score=score)
    with pytest.raises(UserError, match=rf"^metric 'wrong'.*({message})") as caught:
        wrong.of_rows(counted(np.array([True, False])))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"^metric 'wrong'"):
        replicate({"a": {"sw": counted(np.arange(30) % 2 == 0)}}, wrong, "task", draws=5)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"numbers": ()}, "metric 'wrong' needs numbers and the families whose predictions it reads"),
        ({"families": ()}, "metric 'wrong' needs numbers and the families whose predictions it reads"),
        ({"in_average": ("f1",)}, "metric 'wrong' gives accuracy; in_average names f1"),
        ({"bounds": (1.0, 0.0)}, "metric 'wrong': bounds 1 to 0 hold no number"),
    ],
)
def test_what_is_no_metric_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        replace(ACCURACY, name="wrong", **change)
    assert str(caught.value) == message


@pytest.mark.parametrize("found", [[[0.5], [np.inf]], [[[1.0]]], 1.0])
def test_rows_are_a_table_of_numbers(found: Any) -> None:
    with pytest.raises(UserError, match=r"metric 'wrong': rows must be \[examples, columns\] of finite numbers"):
        replace(ACCURACY, name="wrong", rows=lambda predictions, gold, given: np.array(found)).rows_of([], [])


def test_names_are_taken_once_and_the_nearest_is_told() -> None:
    with registering(BALANCED):
        with pytest.raises(UserError, match=r"^metric 'balanced-accuracy' is already registered, in .*test_metrics_own\.py$"):
            register(BALANCED)
        with pytest.raises(UserError, match=r"^unknown metric 'balancd-accuracy': did you mean 'balanced-accuracy'"):
            metric("balancd-accuracy")
        assert missing_metric("balanced-accuracy") is None
    assert missing_metric("balanced-accuracy") == "metric 'balanced-accuracy' is not installed here"


# --- rows may be groups --------------------------------------------------------------------------------------------------
def of_queries(predictions: list[str], gold: list[str], given: Given) -> np.ndarray:
    """A row per run of examples with the same first text: the share of its pages that are judged right, and 1."""
    groups: list[list[bool]] = []
    for number, (said, true) in enumerate(zip(predictions, gold, strict=True)):
        if number == 0 or given.examples[number] != given.examples[number - 1]:
            groups.append([])
        groups[-1].append(said == true)
    return np.array([(fmean(group), 1.0) for group in groups])


def test_rows_may_be_groups_of_examples() -> None:
    by_query = replace(
        ACCURACY, name="by-query", numbers=("by_query",), rows=of_queries, score=lambda s: {"by_query": s[:, 0] / s[:, 1]}
    )
    # Four queries, one of which comes back later as another: 1, 1/2, 0 and 1 of their pages are right.
    asked, gold = ["q1", "q2", "q2", "q3", "q1"], ["a", "a", "b", "b", "a"]
    first = by_query.rows_of(["a", "a", "a", "a", "a"], gold, Given(examples=asked))
    second = by_query.rows_of(gold, gold, Given(examples=asked))
    assert by_query.of_rows(first) == {"by_query": 62.5}
    found = compare([{"sw": second}], [{"sw": first}], by_query)
    assert (found.languages["sw"].interval.difference, found.languages["sw"].count) == (37.5, 4)
    drawn = replicate({"a": {"sw": first}}, by_query, "task", draws=200).drawn
    assert set(np.unique(drawn * 8 / 100)) <= set(range(9))  # means over four of 0, 1/2 and 1: queries are drawn, not pages


# --- where less is better ------------------------------------------------------------------------------------------------
def results(metric: Metric, rows: dict[tuple[str, int], dict[str, np.ndarray]]) -> Results:
    conditions = (Condition("base", None, {}, (1, 2), ()), Condition("new", "base", {}, (1, 2), ()))
    scores = {
        system: {code: {**metric.of_rows(one), "count": len(one)} for code, one in of_system.items()}
        for system, of_system in rows.items()
    }
    replicated = replicate(dict(rows), metric, "task", draws=100)
    task = TaskResult("task", "classification", metric, "test", (), scores, replicated)
    return Results("t", conditions, (task,), ())


def test_where_less_is_better_a_lower_number_is_the_better_one() -> None:
    rng = np.random.default_rng(4)
    right = {"base": 0.3, "new": 0.9}
    rows = {
        (name, seed): {code: counted(rng.random(150) < right[name]) for code in ("sw", "yo", "te")}
        for name in right
        for seed in (1, 2)
    }
    errors = loaded("error-rate", ROOT / "tests/third_party/error_rate.py")
    more, less = results(ACCURACY, rows), results(errors, rows)
    for here, there in zip(answer(more).rows, answer(less).rows, strict=True):
        (first,), (second,) = here.differences, there.differences
        assert first.interval.difference > 50
        assert second.interval.difference == pytest.approx(first.interval.difference)
        assert (second.interval.low, second.interval.high) == pytest.approx((first.interval.low, first.interval.high))
    assert [row.tasks["task"].best for row in task_rows(more)] == [row.tasks["task"].best for row in task_rows(less)]
    assert [round(row.tasks["task"].mean, -1) for row in task_rows(less)] == [70, 10]
    # Two runs side by side are shown unchanged: A - B.
    assert compare([rows["new", 1]], [rows["base", 1]], errors).groups["all languages"].interval.difference < -50


def test_tasks_of_another_unit_stand_in_no_mean_over_tasks() -> None:
    rng = np.random.default_rng(5)
    rows = {(name, seed): {"sw": counted(rng.random(90) < 0.6)} for name in ("base", "new") for seed in (1, 2)}
    lengths = replace(ACCURACY, name="lengths", percent=False, bounds=(0.0, float("inf")))
    (percent,), (other,) = results(ACCURACY, rows).tasks, results(lengths, rows).tasks
    alone = results(ACCURACY, rows)
    both = replace(alone, tasks=(percent, replace(other, name="long")))
    assert answer(both) == answer(alone)
    assert [row.mean for row in task_rows(both)] == [row.mean for row in task_rows(alone)]
    assert both.missing == ["long: its metric is not in per cent, so it is in no mean over tasks"]
    assert other.scores["new", 1]["sw"]["accuracy"] == pytest.approx(percent.scores["new", 1]["sw"]["accuracy"] / 100)
    assert answer(replace(alone, tasks=(other,))).rows  # where nothing is in per cent
