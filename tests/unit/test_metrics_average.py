from typing import Literal

import pytest

from xdist.errors import UserError
from xdist.metrics import metric
from xdist.metrics.average import benchmark, by_group, task_mean
from xdist.tasks.catalog import task as task_named

LANGUAGES = {"xnli": ["en", "sw"], "xquad": ["en", "de"], "udpos": ["wo", "en"], "mewslix": ["en"]}
SCORES = {
    "xnli": {"en": {"accuracy": 80.0}, "sw": {"accuracy": 60.0}},
    "xquad": {"en": {"exact_match": 70.0, "f1": 80.0}, "de": {"exact_match": 50.0, "f1": 60.0}},
    "udpos": {
        "wo": {"f1": 30.0, "precision": 31.0, "recall": 29.0, "accuracy": 40.0},
        "en": {"f1": 90.0, "precision": 90.0, "recall": 90.0, "accuracy": 95.0},
    },
    "mewslix": {"en": {"map@20": 45.0}},
}


METRICS = {task: metric(task_named(task).metric) for task in LANGUAGES}


def stands_for(scores: dict[str, float], name: str, variant: Literal["official", "f1"] = "official") -> float | None:
    return task_mean({"en": scores}, ["en"], metric(name), variant)


def test_what_stands_for_a_task_of_each_kind() -> None:
    for name in ("squad", "mlqa"):
        assert stands_for({"exact_match": 50.0, "f1": 60.0}, name) == 55
        assert stands_for({"exact_match": 50.0, "f1": 60.0}, name, "f1") == 60
    assert stands_for(SCORES["udpos"]["wo"], "seqeval-0.0.12") == 30
    assert stands_for({"accuracy": 7.0}, "accuracy") == 7
    assert stands_for({"map@20": 8.0}, "map@20") == 8
    assert stands_for({"f1": 9.0, "precision": 1.0, "recall": 1.0}, "pair-f1") == 9
    assert stands_for({"count": 1.0}, "accuracy") is None  # no gold, no score


def test_average_over_tasks_not_over_cells() -> None:
    assert benchmark(SCORES, LANGUAGES, METRICS).value == pytest.approx((70 + 65 + 60 + 45) / 4)
    assert benchmark(SCORES, LANGUAGES, METRICS, "f1").value == pytest.approx((70 + 70 + 60 + 45) / 4)
    assert str(benchmark(SCORES, LANGUAGES, METRICS)) == "60.00"


def test_an_incomplete_benchmark_has_no_average() -> None:
    scores = {**SCORES, "xnli": {"en": {"accuracy": 80.0}}}
    average = benchmark(scores, LANGUAGES, METRICS)
    assert average.value is None
    assert str(average) == "3 of 4"
    assert "xnli" not in average.tasks
    assert average.tasks["xquad"] == 65
    assert str(benchmark({}, {}, METRICS)) == "0 of 0"


def test_languages_beyond_the_official_do_not_count() -> None:
    scores = {"xnli": {**SCORES["xnli"], "eu": {"accuracy": 0.0}}}
    assert task_mean(scores["xnli"], ["en", "sw"], METRICS["xnli"]) == 70
    assert task_mean(scores["xnli"], ["en", "sw", "de"], METRICS["xnli"]) is None


def test_groups_are_averaged_within_a_task_first() -> None:
    groups = by_group(SCORES, LANGUAGES, METRICS)
    assert groups["unseen"].value == 30  # udpos wo
    assert groups["low"].value == 60  # xnli sw
    assert groups["mid"].value is None
    assert groups["mid"].of == 0
    assert groups["high"].value == pytest.approx((80 + 65 + 90 + 45) / 4)
    assert groups["high"].tasks["xquad"] == 65


def test_a_group_with_a_language_missing_says_how_far_it_is() -> None:
    scores = {task: {code: value for code, value in cells.items() if code != "de"} for task, cells in SCORES.items()}
    assert str(by_group(scores, LANGUAGES, METRICS)["high"]) == "3 of 4"


def test_what_is_no_language_has_no_group() -> None:
    with pytest.raises(UserError, match="unknown language 'zux'"):
        by_group(SCORES, {"ntrex": ["zux"]}, METRICS)
