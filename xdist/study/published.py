"""The published figures that a study names (`targets`), by its conditions."""

from collections.abc import Mapping, Sequence

from xdist.errors import UserError, unknown
from xdist.report.results import Condition, PublishedFigure
from xdist.study.conditions import conditions_of
from xdist.study.expansion import Graph


def published_figures(graph: Graph, conditions: Sequence[Condition]) -> tuple[PublishedFigure, ...]:
    """Raises UserError at the line of one that is of no condition, or of a task that none of its runs scores."""
    study = graph.study
    tasks = [name for point in graph.points if (run := graph.nodes[point.last].run).evaluate for name in run.evaluate.tasks]
    found = []
    for number, one in enumerate(study.targets):
        if one.task not in tasks:
            raise UserError(f"{study.at(('targets', number, 'task'))}: {unknown('task of the study', one.task, tasks)}")
        names = [
            _condition(study.at(("targets", number, key)), values, conditions)
            for key, values in (("condition", one.condition), ("against", one.against))
            if values is not None
        ]
        against = names[1] if len(names) > 1 else None
        found.append(PublishedFigure(names[0], against, one.task, one.languages, one.value, one.spread, one.source))
    return tuple(found)


def check_targets(graph: Graph) -> None:
    """Raises UserError as `published_figures`."""
    if graph.study.targets:
        published_figures(graph, conditions_of(graph)[0])


def _condition(where: str, values: Mapping[str, str], conditions: Sequence[Condition]) -> str:
    fits = [one.name for one in conditions if all(one.values.get(axis) == value for axis, value in values.items())]
    if len(fits) != 1:
        raise UserError(f"{where}: fits {len(fits)} conditions, not one: {', '.join(fits) or 'none'}"[:300])
    return fits[0]
