"""Which of its languages a task is scored in, of those that a run or a benchmark names."""

from collections.abc import Collection, Iterable

from xdist.tasks.catalog.task import Task


def single_codes(task: Task, languages: Iterable[str]) -> list[str]:
    """`languages` of a task; of pairs the codes that they are made of."""
    return list(dict.fromkeys(one for code in languages for one in task.parts(code)))


def chosen(task: Task, codes: Collection[str]) -> list[str]:
    """Its listed languages that `codes` name, in any code and in that order, and the pairs whose two languages they name."""
    named = [own for code in codes if (own := task.own(code)) in task.languages]
    if task.pairs_of:
        both = {task.pairs_of.own(code) for code in codes}
        named += [code for code in task.languages if both.issuperset(task.parts(code))]
    return list(dict.fromkeys(named))
