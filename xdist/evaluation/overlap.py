"""Sets that hold the same sentences: training on one of them makes scores on another unreliable, and this is reported."""

from collections.abc import Iterable

from xdist.model.lineage import Lineage
from xdist.tasks.catalog import TASKS, Task


def overlaps(lineage: Lineage, scored: Iterable[Task]) -> list[str]:
    """A line for each task that is `scored` whose sentences a training behind the model has seen under another name."""
    trained = dict.fromkeys(entry.task for stage in lineage for entry in stage.tasks)
    shared = {name: TASKS.get(name).shares for name in trained if TASKS.has(name)}
    return [
        f"{one.name}: the model was trained on {' and '.join(others)}, which has some of the same sentences ({one.shares})"
        for one in dict.fromkeys(scored)
        if one.shares
        and (others := [name for name, group in shared.items() if group == one.shares and name not in _itself(one)])
    ]


def _itself(task: Task) -> set[str]:
    """Its name, and that of the task whose rows its pairs are of: what has trained that is not seen under another name."""
    return {task.name, task.pairs_of.name if task.pairs_of else task.name}
