"""A report on several conditions as one HTML file, its answer first."""

from collections.abc import Sequence
from datetime import datetime

from xdist.report import curves, numbers, page
from xdist.report.asked import HEADS
from xdist.report.by_number import number_chart, number_curves
from xdist.report.curves import axis
from xdist.report.findings import Findings, costs, statistics
from xdist.report.kinship import families, scripts, size_plots
from xdist.report.labelling_chart import labelling_chart
from xdist.report.pair_matrix import SAID
from xdist.report.published import MEANING
from xdist.report.results import RunFacts

MOST_CURVES = 6  # as many as have their own colour and dashes


def render(found: Findings, written: datetime) -> str:
    scores = found.scores
    kin = [*families(scores), *scripts(scores)]
    environment = next((run.record.environment for run in found.results.runs if run.record.environment), {})
    return page.template("study.html.j2").render(
        **{**page.context(found.results.title, scores, written), "run_word": "Condition"},
        found=found,
        results=found.results,
        numbers=numbers,
        asked=found.results.asked,
        asked_heads=HEADS,
        axis=axis(found.answer.rows),
        families=families(scores),
        scripts=scripts(scores),
        kin_scale=page.scale(mean for one in kin for mean in one.means if mean is not None),
        plots=size_plots(scores),
        published_meaning=MEANING,
        by_number=[(curve, number_chart(curve)) for curve in number_curves(found.results.asked, found.answer)],
        labelling=[(curve, labelling_chart(curve)) for curve in found.labelling],
        pair_scale=page.scale(float(value) for one in found.pairs for value in one.transfer.matrix.flat if value == value),
        pair_said=SAID,
        stages=_stages(found.results.runs),
        costs=list(costs(found.results)),
        statistics=statistics(found),
        environment=environment,
    )


def _stages(runs: Sequence[RunFacts]) -> list[tuple[str, list[str], list[curves.Chart], int]]:
    """Per stage the names of the runs that are drawn, those of the first seed, the charts, and how many are left out."""
    found = []
    for stage in dict.fromkeys(run.stage for run in runs):
        logged = [run for run in runs if run.stage == stage and run.record.metrics]
        first = [run for run in logged if run.seed == logged[0].seed][:MOST_CURVES]
        if charts := curves.charts([run.record for run in first]):
            found.append((stage, [run.name for run in first], charts, len(logged) - len(first)))
    return found
