import pytest

from xdist.errors import UserError
from xdist.metrics.average import benchmark, by_group, headline, task_mean

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


def test_headline_of_each_kind() -> None:
    assert headline({"exact_match": 50.0, "f1": 60.0}) == 55
    assert headline({"exact_match": 50.0, "f1": 60.0}, "f1") == 60
    assert headline(SCORES["udpos"]["wo"]) == 30
    assert headline({"accuracy": 7.0}) == 7
    assert headline({"map@20": 8.0}) == 8
    with pytest.raises(UserError, match="no score to average among: loss"):
        headline({"loss": 1.0})


def test_average_over_tasks_not_over_cells() -> None:
    assert benchmark(SCORES, LANGUAGES).value == pytest.approx((70 + 65 + 60 + 45) / 4)
    assert benchmark(SCORES, LANGUAGES, "f1").value == pytest.approx((70 + 70 + 60 + 45) / 4)
    assert str(benchmark(SCORES, LANGUAGES)) == "60.00"


def test_an_incomplete_benchmark_has_no_average() -> None:
    scores = {**SCORES, "xnli": {"en": {"accuracy": 80.0}}}
    average = benchmark(scores, LANGUAGES)
    assert average.value is None
    assert str(average) == "3 of 4"
    assert "xnli" not in average.tasks
    assert average.tasks["xquad"] == 65
    assert str(benchmark({}, {})) == "0 of 0"


def test_languages_beyond_the_official_do_not_count() -> None:
    scores = {"xnli": {**SCORES["xnli"], "eu": {"accuracy": 0.0}}}
    assert task_mean(scores["xnli"], ["en", "sw"]) == 70
    assert task_mean(scores["xnli"], ["en", "sw", "de"]) is None


def test_groups_are_averaged_within_a_task_first() -> None:
    groups = by_group(SCORES, LANGUAGES)
    assert groups["unseen"].value == 30  # udpos wo
    assert groups["low"].value == 60  # xnli sw
    assert groups["mid"].value is None
    assert groups["mid"].of == 0
    assert groups["high"].value == pytest.approx((80 + 65 + 90 + 45) / 4)
    assert groups["high"].tasks["xquad"] == 65


def test_a_group_with_a_language_missing_says_how_far_it_is() -> None:
    scores = {task: {code: value for code, value in cells.items() if code != "de"} for task, cells in SCORES.items()}
    assert str(by_group(scores, LANGUAGES)["high"]) == "3 of 4"


def test_a_language_outside_the_fifty_has_no_group() -> None:
    with pytest.raises(UserError, match="unknown language 'zu'"):
        by_group(SCORES, {"ntrex": ["zu"]})
