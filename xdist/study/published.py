"""The published figures that a study names (`targets`), by its conditions."""

from collections.abc import Mapping, Sequence

from xdist.errors import UserError, unknown
from xdist.report.results import Condition, PublishedFigure
from xdist.study.conditions import conditions_of
from xdist.study.expansion import Graph
from xdist.tasks.catalog import Task


def published_figures(graph: Graph, conditions: Sequence[Condition]) -> tuple[PublishedFigure, ...]:
    """Raises UserError at the line of one that is of no condition, or of a task that none of its runs scores, and of a language
    that the task has not."""
    study = graph.study
    scored = (subset for point in graph.points for subset in graph.nodes[point.last].resolved.subsets.evaluation_named)
    tasks = {subset.task.name: subset.task for subset in scored}
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
        languages = one.languages
        if not isinstance(languages, str):
            languages = tuple(_own(study.at(("targets", number, "languages")), tasks[one.task], code) for code in languages)
        found.append(PublishedFigure(names[0], against, one.task, languages, one.value, one.spread, one.source))
    return tuple(found)


def check_targets(graph: Graph) -> None:
    """Raises UserError as `published_figures`."""
    if graph.study.targets:
        published_figures(graph, conditions_of(graph)[0])


def _own(where: str, task: Task, code: str) -> str:
    """The code that the task has for the language."""
    own = task.own(code)
    if not task.has_language("test", own):
        raise UserError(f"{where}: task '{task.name}': {unknown('language', code, task.languages)}")
    return own


def _condition(where: str, values: Mapping[str, str], conditions: Sequence[Condition]) -> str:
    fits = [one.name for one in conditions if all(one.values.get(axis) == value for axis, value in values.items())]
    if len(fits) != 1:
        raise UserError(f"{where}: fits {len(fits)} conditions, not one: {', '.join(fits) or 'none'}"[:300])
    return fits[0]
