"""Generalized cross-lingual transfer: the matrix of pairs of a condition, and what its diagonal and the rest of it come to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from xdist.languages import is_english, pair_of
from xdist.metrics.transfer import Transfer, transfer_matrix
from xdist.report.results import Numbers, Results, TaskResult, mean_and_spread
from xdist.report.scores import coverage

SAID = {
    "diagonal": "pairs of one language",
    "off_diagonal": "pairs of two languages",
    "english_first": "English first, another language second",
    "english_second": "another language first, English second",
}


@dataclass(frozen=True, slots=True)
class PairMatrix:
    """Means over seeds; `means` by name, each with its standard deviation over seeds (None for one seed); `over` says by name
    over how many pairs an incomplete mean is."""

    task: str
    metric: str
    condition: str
    transfer: Transfer
    means: Mapping[str, tuple[float, float | None]]
    over: Mapping[str, str]


def pair_matrices(results: Results) -> list[PairMatrix]:
    return [
        _matrix(task, one.name) for task in results.tasks if task.of_pairs for one in results.conditions if task.seeds(one.name)
    ]


def _matrix(task: TaskResult, condition: str) -> PairMatrix:
    runs = [task.scores[condition, seed] for seed in task.seeds(condition)]
    number = task.metric.headline
    by_seed = [transfer_matrix(run, number).means for run in runs]
    means = {name: mean_and_spread([found[name] for found in by_seed]) for name in SAID if all(name in f for f in by_seed)}
    matrix = transfer_matrix(_mean(runs, number), number)
    every = _counts(task.languages)
    scored = [_counts(task.scored_languages(condition, seed)) for seed in task.seeds(condition)]
    parts = {name: coverage(min(counts[name] for counts in scored), every[name], "pairs") for name in means}
    return PairMatrix(task.name, number, condition, matrix, means, parts)


def _counts(pairs: Sequence[str]) -> dict[str, int]:
    """Of pairs, how many each mean of SAID is over."""
    codes = [pair_of(pair) or (pair, pair) for pair in pairs]
    return {
        "diagonal": sum(a == b for a, b in codes),
        "off_diagonal": sum(a != b for a, b in codes),
        "english_first": sum(is_english(a) and not is_english(b) for a, b in codes),
        "english_second": sum(is_english(b) and not is_english(a) for a, b in codes),
    }


def _mean(runs: list[Numbers], number: str) -> dict[str, dict[str, float]]:
    codes = set.intersection(*(set(run) for run in runs))
    scored = [code for code in codes if all(number in run[code] for run in runs)]
    return {code: {number: fmean(run[code][number] for run in runs)} for code in scored}
