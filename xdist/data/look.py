"""Looking into a run's files before it starts: whether each can be read as what it should be, and which hold no gold."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xdist.data.leaks import check_leaks
from xdist.data.subset import Subset, pool_subsets
from xdist.formats.gold import labelled
from xdist.formats.pairs import join
from xdist.tasks.catalog import Task


def find_without_gold(
    root: Path, trained: Sequence[Subset], scored: Sequence[Subset], before: Sequence[Subset] = ()
) -> list[Subset]:
    """Those of `scored` whose files hold no gold. What is `trained` on is checked too, as far as it exists; running text
    is not, nor are candidates beyond the first. Raises UserError as readers do, naming file and line, and for a file without
    an example, and as `check_leaks`, also for parallel text that the model was trained on `before`; for the files of a mixed
    pair as `join`."""
    for subset in trained:
        if not subset.task.fields and all(path.is_file() for path in subset.task.paths(root, subset.split, subset.language)):
            list(subset.task.examples(root, subset.split, subset.language))
    check_leaks([*(subset for subset in trained if subset.task.translates), *before], scored, root)
    gold: dict[tuple[Task, str, str], bool] = {}
    kept: dict[tuple[Task, str, str], list[Any]] = {}
    parallel = {subset.task.pairs_of for subset in scored}
    blanked = []
    for subset in scored:
        # The files of a mixed pair are those of its languages, each of which is in many pairs.
        parts = [(subset.task.pairs_of or subset.task, subset.split, code) for code in subset.task.parts(subset.language)]
        for part in parts:
            if part not in gold:
                examples = list(part[0].examples(root, *part[1:]))
                gold[part] = labelled(examples)
                if part[0] in parallel:
                    kept[part] = examples
        if subset.task.pairs_of:
            first, second = (kept[part] for part in parts)
            files = dict.fromkeys(subset.task.paths(root, subset.split, subset.language))
            for _ in join(first, second, " and ".join(map(str, files)), subset.task.left_out):
                pass
        if not all(gold[part] for part in parts):
            blanked.append(subset)
    for task in dict.fromkeys(subset.task for subset in scored):
        for subset in pool_subsets(task):
            next(iter(task.examples(root, subset.split, subset.language)))
    return blanked
