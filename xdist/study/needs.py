"""What a system needed beside labelled text: so that systems without parallel text are compared with their like.

In which languages labelled text was trained on is told elsewhere, as the languages that a condition has seen.
"""

from collections.abc import Iterable, Sequence

from xdist.config.align import Align
from xdist.config.method import Method
from xdist.config.parallel import Parallel
from xdist.tasks.catalog import Task

ENGLISH = ("en", "eng_Latn")
TEXT, LANGUAGES, PARALLEL = "text of the languages", "the languages' names", "parallel text"
DICTIONARY = "dictionary"


def needed(
    trained: Iterable[tuple[Task, str]],
    methods: Sequence[Method] = (),
    align: Align | None = None,
    parallel: Parallel | None = None,
) -> set[str]:
    """Of a training on `trained`, tasks in a language each, by `methods` of `robust`, parallel text as `parallel` says, and of
    maps that are fitted."""
    found = {method.needs for method in methods}
    for task, language in trained:
        found.add(task.needs or (TEXT if task.family == "masked-lm" and language not in ENGLISH else ""))
        if task.family == "parallel" and parallel is not None and parallel.dictionaries is not None:
            found.add(DICTIONARY)
    if align is not None and align.strength:
        # Words are looked up on each side by itself, so which sentences translate each other does not matter.
        of_words = {DICTIONARY, TEXT} if align.dictionaries is not None else {PARALLEL}
        found |= {LANGUAGES} if align.method == "mean-shift" else of_words
    return found - {""}
