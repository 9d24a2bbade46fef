"""Averages over languages, tasks and resource groups. Never over what was not run: an average is whole or "n of 10".

XTREME-R: each task is the unweighted mean over exactly its languages, the benchmark the unweighted mean of its ten
tasks. Question answering counts as (EM + F1) / 2 in the official average; most papers use F1 alone: both have a name
here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from xdist.errors import UserError
from xdist.languages import GROUPS, language

Variant = Literal["official", "f1"]
Scores = Mapping[str, Mapping[str, Mapping[str, float]]]
"""task, language, metric name: score from 0 to 100."""
Languages = Mapping[str, Sequence[str]]
"""task: the languages that its mean is over."""


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


def headline(scores: Mapping[str, float], variant: Variant = "official") -> float:
    """The one number of a task and language: (EM + F1)/2 or F1 for question answering, F1 for tagging and mining, else
    accuracy or mAP@20 (google-research/xtreme, evaluate.py, `avg_metric`)."""
    if "exact_match" in scores:
        return scores["f1"] if variant == "f1" else (scores["exact_match"] + scores["f1"]) / 2
    for name in ("f1", "accuracy", "map@20"):
        if name in scores:
            return scores[name]
    raise UserError(f"no score to average among: {', '.join(scores) or 'none'}")


def task_mean(
    scores: Mapping[str, Mapping[str, float]], languages: Sequence[str], variant: Variant = "official"
) -> float | None:
    """The unweighted mean over exactly `languages`; None if one of them has no score."""
    if not languages or any(code not in scores for code in languages):
        return None
    return sum(headline(scores[code], variant) for code in languages) / len(languages)


def benchmark(scores: Scores, languages: Languages, variant: Variant = "official") -> Average:
    """The average over all the tasks of `languages` (the ten of XTREME-R, the nine of v1)."""
    means = {task: task_mean(scores.get(task, {}), codes, variant) for task, codes in languages.items()}
    done = {task: value for task, value in means.items() if value is not None}
    whole = bool(languages) and len(done) == len(languages)
    return Average(sum(done.values()) / len(done) if whole else None, len(done), len(languages), done)


def by_group(scores: Scores, languages: Languages, variant: Variant = "official") -> dict[str, Average]:
    """The same for each resource group (unseen, low, mid, high): within a task over the languages of the group, then
    over the tasks that have any. Compare groups within a task, not across tasks with different languages. Raises
    UserError for a language outside the fifty."""
    return {
        group: benchmark(scores, {task: codes for task, codes in _members(languages, group).items() if codes}, variant)
        for group in GROUPS
    }


def _members(languages: Languages, group: str) -> dict[str, list[str]]:
    return {task: [code for code in codes if language(code).group == group] for task, codes in languages.items()}
