"""The scores of guessing: the baselines that any system has to beat."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from xdist.config import recorded_run
from xdist.evaluation.per_example import Gold
from xdist.metrics import metric
from xdist.run.folder import RunFolder
from xdist.tasks.catalog import Task, known_tasks, with_found_labels
from xdist.tasks.family import family_of

MAJORITY, RANDOM = "majority", "random"
Guessed = dict[str, dict[str, float]]


def guess_languages(folder: Path, gold: Gold, name: str, split: str, languages: Sequence[str], scored_by: str) -> Guessed:
    """By kind of guess and language, the score in points of a task of the run in `folder`; {} for families of which none
    guesses, such as spans of text."""
    run = recorded_run(RunFolder(folder).config)
    found = known_tasks(run.data.tasks, run.plugins).get(name)
    if found is None or not scored_by:
        return {}
    entry = with_found_labels(found, run.data.root)
    scores: Guessed = {}
    for code in languages:
        examples = gold.examples(run.data.root, entry, split, code)
        for kind, score in guess_scores(entry, examples, code, scored_by).items():
            scores.setdefault(kind, {})[code] = score
    return scores


def guess_scores(entry: Task, examples: Sequence[Any], language: str, scored_by: str) -> dict[str, float]:
    """The same of one language, {} without gold, and by a metric that ranks."""
    gold = family_of(entry).gold(examples)
    if not gold or metric(scored_by).graded:  # whose numbers are no labels that anyone guesses
        return {}
    draw = random.Random(0)

    def score(predictions: Sequence[Any]) -> float:
        by = metric(scored_by)
        rows = family_of(replace(entry, metric=scored_by)).per_example(predictions, examples, language)
        return float(by.of_rows(rows)[by.headline]) if rows is not None else 0.0

    match entry.family:
        case "classification":
            labels = entry.labels or tuple(sorted(set(gold)))
            even = 100 / len(labels) if scored_by == "accuracy" else score([draw.choice(labels) for _ in gold])
            return {MAJORITY: score([_most_frequent(gold)] * len(gold)), RANDOM: even}
        case "tagging":
            tags = entry.labels or tuple(sorted({tag for one in gold for tag in one}))
            most = _most_frequent([tag for one in gold for tag in one])
            return {
                MAJORITY: score([(most,) * len(one) for one in gold]),
                RANDOM: score([tuple(draw.choice(tags) for _ in one) for one in gold]),
            }
        case "multiple-choice":
            even = 100 * sum(1 / len(one.options) for one in examples) / len(examples)
            return {MAJORITY: score([_most_frequent(gold)] * len(gold)), RANDOM: even}
        case "sentence-retrieval" if scored_by == "accuracy":
            return {RANDOM: 100 / sum(side != "english" for side, _ in examples)}
    return {}


def _most_frequent(values: Sequence[Any]) -> Any:
    """The most frequent one; of equally frequent ones the first in order."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], str(value)))
