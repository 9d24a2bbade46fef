"""Averages over languages, tasks and resource groups. Never over what was not run: an average is complete or "n of 10".

XTREME-R: each task is the unweighted mean over exactly its languages, the benchmark the unweighted mean of its ten
tasks. Question answering counts as (EM + F1) / 2 in the official average; most papers use F1 alone: both have a name
here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from xdist.languages import CC100, EVERY_GROUP, GROUPS, Pretraining, language
from xdist.metrics.definition import Metric

Variant = Literal["official", "f1"]
TaskScores = Mapping[str, Mapping[str, Mapping[str, float]]]
"""task, language, name of a number: points."""
Languages = Mapping[str, Sequence[str]]
"""task: the languages that its mean is over."""
Metrics = Mapping[str, Metric]
"""task: what it is scored by."""


@dataclass(frozen=True, slots=True)
class Average:
    """A mean over `of` tasks of which `done` are complete; `value` is None unless all are. `tasks` has the means there
    are."""

    value: float | None
    done: int
    of: int
    tasks: Mapping[str, float]

    def __str__(self) -> str:
        return f"{self.done} of {self.of}" if self.value is None else f"{self.value:.2f}"


def task_mean(
    scores: Mapping[str, Mapping[str, float]], languages: Sequence[str], metric: Metric, variant: Variant = "official"
) -> float | None:
    """The unweighted mean over exactly `languages` of what stands for the task (google-research/xtreme, evaluate.py,
    `avg_metric`); None if one of them has no score: it was not predicted, or has its `count` alone, for want of gold."""
    names = metric.in_average if variant == "official" and metric.in_average else (metric.headline,)
    if not languages or any(name not in scores.get(code, ()) for code in languages for name in names):
        return None
    return sum(sum(scores[code][name] for name in names) / len(names) for code in languages) / len(languages)


def benchmark(scores: TaskScores, languages: Languages, metrics: Metrics, variant: Variant = "official") -> Average:
    """The average over all the tasks of `languages` (the ten of XTREME-R, the nine of v1)."""
    means = {task: task_mean(scores.get(task, {}), codes, metrics[task], variant) for task, codes in languages.items()}
    done = {task: value for task, value in means.items() if value is not None}
    whole = bool(languages) and len(done) == len(languages)
    return Average(sum(done.values()) / len(done) if whole else None, len(done), len(languages), done)


def by_group(
    scores: TaskScores, languages: Languages, metrics: Metrics, variant: Variant = "official", read: Pretraining = CC100
) -> dict[str, Average]:
    """The same for each resource group of an encoder that was pre-trained on `read`: within a task over the languages of the
    group, then over the tasks that have any. Compare groups within a task, not across tasks with different languages. Raises
    UserError for what is no language."""
    of_group: dict[str, dict[str, list[str]]] = {group: {} for group in (GROUPS if read.sized else ())}
    for task, codes in languages.items():
        for code in codes:
            of_group.setdefault(read.group(language(code).code), {}).setdefault(task, []).append(code)
    return {group: benchmark(scores, of_group[group], metrics, variant) for group in EVERY_GROUP if group in of_group}
