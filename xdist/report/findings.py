"""All that a report on several conditions says, worked out once: its page, Markdown, JSON and LaTeX are forms of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from xdist.metrics.pooled import DRAWS
from xdist.report.answer import Conclusion, answer, headline_rows
from xdist.report.beside import BesideRow, extra_rows
from xdist.report.by_language import ByLanguage, by_language
from xdist.report.falling import still_falling
from xdist.report.labelling import LearningCurve, learning_curves
from xdist.report.labelling import labelling_sentence as labelling_said
from xdist.report.pair_matrix import PairMatrix, pair_matrices
from xdist.report.published import Reproduced, reproduced_figures
from xdist.report.results import Results, RunFacts, as_scores
from xdist.report.scores import SMALL, ScoreTable
from xdist.report.sentences import not_learnt_said, sentences
from xdist.report.task_table import TaskRow, official_mean, task_rows


@dataclass(frozen=True, slots=True)
class Findings:
    results: Results
    answer: Conclusion
    sentences: tuple[str, ...]
    tasks: tuple[TaskRow, ...]
    languages: tuple[ByLanguage, ...]
    pairs: tuple[PairMatrix, ...]
    scores: ScoreTable
    labelling: tuple[LearningCurve, ...] = ()
    beside: tuple[BesideRow, ...] = ()
    reproduced: tuple[Reproduced, ...] = ()

    @property
    def cautions(self) -> list[str]:
        """What a reader of the answer has to know first: runs that are missing, and losses that were still falling."""
        return [line for line in (self.results.preliminary, still_falling(self.results.runs)) if line]

    @property
    def averaged(self) -> bool:
        """Whether any task of the official average is complete."""
        return any(not row.done.startswith("0 ") for row in self.tasks)

    @property
    def average(self) -> str:
        """What the official average is called: XTREME-R, or XGLUE where it is of that alone."""
        of = official_mean(task.name for task in self.results.tasks)
        return of.name if of else ""

    def metric(self, task: str) -> str:
        return next(entry.metric.headline for entry in self.results.tasks if entry.name == task)


@dataclass(frozen=True, slots=True)
class StageCost:
    """`hours` of all ranks together and `speed` in tokens per second, means over runs where they are logged; None: not
    logged."""

    stage: str
    runs: int
    finished: int
    hours: float | None
    speed: float | None


def findings(results: Results) -> Findings:
    found, labelling = answer(results), tuple(learning_curves(results))
    return Findings(
        results,
        found,
        (
            *not_learnt_said(results),
            *map(labelling_said, labelling),
            *(sentences(results, found, headline_rows(results)) if results.compared or not results.not_learnt else ()),
        ),
        tuple(task_rows(results)),
        tuple(by_language(results)),
        tuple(pair_matrices(results)),
        as_scores(results),
        labelling,
        extra_rows(results),
        tuple(reproduced_figures(results)),
    )


def costs(results: Results) -> Iterator[StageCost]:
    """A row per stage, and one for all together where there are several; hours are sums."""
    stages: dict[str, list[RunFacts]] = {}
    for run in results.runs:
        stages.setdefault(run.stage, []).append(run)
    rows: Mapping[str, list[RunFacts]] = {**stages, **({"all": list(results.runs)} if len(stages) > 1 else {})}
    for stage, runs in rows.items():
        hours = [run.hours for run in runs if run.hours is not None]
        speed = [run.tokens_per_second for run in runs if run.tokens_per_second is not None]
        finished = sum(run.state == "finished" for run in runs)
        yield StageCost(stage, len(runs), finished, sum(hours) if hours else None, fmean(speed) if speed else None)


def statistics(findings: Findings) -> list[str]:
    """How the numbers were made, a paragraph each."""
    first, second = findings.answer.corrected
    languages = ", ".join(str(count) for count in sorted({one.count for one in findings.languages})) or "no"
    seeds = sorted({one.seeds for row in findings.answer.rows for one in row.differences})
    said = [
        "A difference is a condition minus its baseline in points of each task's own metric, which is shown with the task, "
        "averaged over the languages of a group within each task, then over tasks. Languages that a task was "
        "trained on are left out; the row “trained on in no stage” excludes those of intermediate training, too, which are "
        "the row “trained on in another stage”.",
        f"95 % intervals: paired bootstrap over examples ({DRAWS:,} draws, the same for all systems and for test sets of one "
        "size, in all tasks that share their sentences), to which the spread between seeds and, for groups, between languages "
        "adds its variance, each with Student's t of its degrees of freedom. The spread of seeds is assumed to be equal in all "
        "conditions, and estimated from all. Languages of a group are a sample of languages like them, tasks and pairs are "
        "themselves.",
        f"Correction for many comparisons after Holm: the headline rows together ({first} comparisons), the other rows "
        f"together ({second}), the languages of a condition together ({languages} comparisons), a task's best condition "
        "against each other one. A difference is called shown where its interval excludes zero and "
        "the corrected p is below 0.05; an interval itself is not corrected.",
    ]
    if turned := [task.name for task in findings.results.tasks if task.metric.lower_is_better]:
        said.append(f"Of {' and '.join(turned)} less is better: there a difference is the baseline minus the condition.")
    if findings.labelling:
        said.append(
            "Learning curves: which sentences are labelled changes with the seed, so seeds spread by more the fewer there are; "
            "each interval is of its own seeds alone, and p is corrected over the points of a curve. Languages that were "
            "labelled are in no group's difference."
        )
    if seeds == [1]:
        said.append("There is one seed a side: nothing here says how another seed would have come out.")
    said.append(f"* marks test sets of fewer than {SMALL} examples, which move by several points by chance alone.")
    return said
