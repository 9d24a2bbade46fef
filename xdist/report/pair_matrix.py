"""Generalized cross-lingual transfer: the matrix of pairs of a condition, and what its diagonal and the rest of it come to."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from xdist.metrics.transfer import Transfer, transfer_matrix
from xdist.report.results import Numbers, Results, TaskResult, mean_and_spread

SAID = {
    "diagonal": "pairs of one language",
    "off_diagonal": "pairs of two languages",
    "english_first": "English first, another language second",
    "english_second": "another language first, English second",
}


@dataclass(frozen=True, slots=True)
class PairMatrix:
    """Means over seeds; `means` by name, each with its standard deviation over seeds (None for one seed)."""

    task: str
    metric: str
    condition: str
    transfer: Transfer
    means: Mapping[str, tuple[float, float | None]]


def pair_matrices(results: Results) -> list[PairMatrix]:
    return [
        _matrix(task, one.name) for task in results.tasks if task.of_pairs for one in results.conditions if task.seeds(one.name)
    ]


def _matrix(task: TaskResult, condition: str) -> PairMatrix:
    runs = [task.scores[condition, seed] for seed in task.seeds(condition)]
    number = task.metric.headline
    by_seed = [transfer_matrix(run, number).means for run in runs]
    means = {name: mean_and_spread([found[name] for found in by_seed]) for name in SAID if all(name in f for f in by_seed)}
    return PairMatrix(task.name, number, condition, transfer_matrix(_mean(runs, number), number), means)


def _mean(runs: list[Numbers], number: str) -> dict[str, dict[str, float]]:
    codes = set.intersection(*(set(run) for run in runs))
    return {code: {number: fmean(run[code][number] for run in runs)} for code in codes if number in runs[0][code]}
