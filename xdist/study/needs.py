"""What a system needed in addition to labelled text: so that systems without parallel text are compared with similar ones.

In which languages labelled text was trained on is shown elsewhere, as the languages that a condition has seen.
"""

from collections.abc import Iterable, Sequence

from xdist.config.align import Align
from xdist.config.method import Method
from xdist.config.parallel import Parallel
from xdist.config.syntax import Syntax
from xdist.languages import is_english
from xdist.tasks.catalog import Task

TEXT, LANGUAGES, PARALLEL = "text of the languages", "the languages' names", "parallel text"
DICTIONARY, TREES = "dictionary", "dependency trees"


def data_needed(
    trained: Iterable[tuple[Task, str]],
    methods: Sequence[Method] = (),
    align: Align | None = None,
    parallel: Parallel | None = None,
    syntax: Syntax | None = None,
    branches: bool = False,
) -> set[str]:
    """Of a training on `trained`, tasks in a language each, by `methods` of `robust`, parallel text as `parallel` says, of maps
    that are fitted, of an encoder that reads trees, and of `branches`, which a text's language chooses."""
    found = {method.needs for method in methods} | ({LANGUAGES} if branches else set())
    found |= {TREES} if syntax is not None and syntax.read else set()
    for task, language in trained:
        found.add(task.needs or (TEXT if task.family == "masked-lm" and not is_english(language) else ""))
        if task.family == "parallel" and parallel is not None and parallel.dictionaries is not None:
            found.add(DICTIONARY)
    if align is not None and align.strength:
        # Words are looked up on each side by itself, so which sentences translate each other does not matter.
        of_words = {DICTIONARY, TEXT} if align.dictionaries is not None else {PARALLEL}
        found |= {LANGUAGES} if align.method == "mean-shift" else of_words
    return found - {""}
