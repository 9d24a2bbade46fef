"""What a system needed beside labelled text: so that systems without parallel text are compared with their like.

In which languages labelled text was trained on is told elsewhere, as the languages that a condition has seen.
"""

from collections.abc import Iterable, Sequence

from xdist.config.align import Align
from xdist.config.method import Method
from xdist.tasks.catalog import Task

ENGLISH = ("en", "eng_Latn")
TEXT, LANGUAGES, PARALLEL = "text of the languages", "the languages' names", "parallel text"


def needed(trained: Iterable[tuple[Task, str]], methods: Sequence[Method] = (), align: Align | None = None) -> set[str]:
    """Of a training on `trained`, tasks in a language each, by `methods` of `robust`, and of maps that are fitted."""
    found = {method.needs for method in methods}
    for task, language in trained:
        found.add(task.needs or (TEXT if task.family == "masked-lm" and language not in ENGLISH else ""))
    if align is not None and align.strength:
        found.add(LANGUAGES if align.method == "mean-shift" else PARALLEL)
    return found - {""}
