"""Published figures compared with your own: whether what was reproduced is within what seeds spread."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from xdist.metrics.pooled import pooled_interval
from xdist.report.answer import spread_of
from xdist.report.results import PublishedFigure, Results, TaskResult

DEVIATIONS = 2  # so far from each other two means may be and still be within what seeds spread
MEANING = (
    f"Within seed spread: our mean is within {DEVIATIONS} standard deviations over seeds, theirs or ours, the larger, of what "
    "was published; of a difference, what was published is in the 95 % interval of ours."
)


@dataclass(frozen=True, slots=True)
class Reproduced:
    """`ours`, None where there are no scores yet, over this many `seeds`; `low` and `high`: the interval of a difference, of a
    score what its seeds spread; `within`: None where it is not known."""

    figure: PublishedFigure
    ours: float | None = None
    spread: float | None = None
    seeds: int = 0
    languages: int = 0
    within: bool | None = None

    @property
    def of(self) -> str:
        figure = self.figure
        return f"{figure.condition} − {figure.against}" if figure.against else figure.condition

    @property
    def theirs(self) -> str:
        figure = self.figure
        return f"{figure.value:.1f}" if figure.spread is None else f"{figure.value:.2f} ± {figure.spread:.2f}"

    @property
    def mine(self) -> str:
        return "–" if self.ours is None else f"{self.ours:.2f}" + ("" if self.spread is None else f" ± {self.spread:.2f}")

    @property
    def said(self) -> str:
        return "not known yet" if self.within is None else "yes" if self.within else "no"


def reproduced_figures(results: Results) -> list[Reproduced]:
    tasks = {task.name: task for task in results.tasks}
    return [_reproduce_figure(results, figure, tasks.get(figure.task)) for figure in results.published]


def _reproduce_figure(results: Results, figure: PublishedFigure, task: TaskResult | None) -> Reproduced:
    if task is None or {figure.condition, figure.against} & results.not_learnt.keys():
        return Reproduced(figure)
    seeds = [seed for seed in task.seeds(figure.condition) if figure.against is None or seed in task.seeds(figure.against)]
    if not seeds:
        return Reproduced(figure)
    sides = [name for name in (figure.condition, figure.against) if name is not None]
    codes = _languages(task, figure.languages, [(name, seed) for name in sides for seed in seeds])
    if not codes:
        return Reproduced(figure)
    headline = task.metric.headline

    def mean(name: str, seed: int) -> float:
        return fmean(task.scores[name, seed][code][headline] for code in codes)

    values = [mean(figure.condition, seed) - (mean(figure.against, seed) if figure.against else 0.0) for seed in seeds]
    ours, spread = fmean(values), stdev(values) if len(values) > 1 else None
    if figure.against:
        parts = task.differences(figure.condition, figure.against, codes, seeds)
        found = parts and pooled_interval([parts], False, spread_of(results, [task], {task.name: codes}, False))
        within = None if not found else found.low <= task.metric.sign * figure.value <= found.high
    else:
        spreads = [one for one in (spread, figure.spread) if one is not None]
        within = abs(ours - figure.value) <= DEVIATIONS * max(spreads) if spreads else None
    return Reproduced(figure, ours, spread, len(seeds), len(codes), within)


def _languages(task: TaskResult, wanted: str | tuple[str, ...], systems: Sequence[tuple[str, int]]) -> list[str]:
    """Those of a figure that all systems have scores of; none where one is missing that it names."""
    scored = [code for code in task.languages if all(code in task.scored_languages(*system) for system in systems)]
    if isinstance(wanted, tuple):
        return list(wanted) if set(wanted) <= set(scored) else []
    return [code for code in scored if wanted == "all" or code not in task.trained_on]
