"""What lies in a data root, counted against the official counts."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from xdist.formats.examples import Passage
from xdist.formats.gold import gold_of
from xdist.tasks.catalog import Task
from xdist.tasks.catalog.task import pair


@dataclass(frozen=True, slots=True)
class Found:
    """Examples of one split in one language; `official` is None where that count is not known."""

    count: int
    official: int | None
    gold: bool
    untranslated: int = 0

    @property
    def remark(self) -> str:
        """What is not as officially; empty if nothing is."""
        left_out = f"{self.untranslated} untranslated rows left out" if self.untranslated else ""
        if self.official in (None, self.count + self.untranslated):
            return left_out
        differs = "a part" if self.count < (self.official or 0) else "more than officially: another release?"
        return f"{differs}; {left_out}" if left_out else differs


def files_there(root: Path, tasks: Iterable[Task]) -> list[tuple[Task, str, str]]:
    """The (task, split, language) whose files are all there."""
    return [
        (task, split, code)
        for task in tasks
        for split in task.files
        for code in task.languages
        if all(path.is_file() for path in task.paths(root, split, code))
    ]


def check(task: Task, root: Path, split: str, language: str) -> Found:
    """Read one split in one language. Raises UserError for a file that is not what it should be."""
    count, gold = 0, False
    for example in task.examples(root, split, language):
        # Retrieval reads two sides: (side, Example). The side that is searched is not counted.
        side, value = example if isinstance(example, tuple) else ("", example)
        if side == "foreign" or isinstance(value, Passage):
            continue
        count += 1
        gold = gold or gold_of(value) is not None
    left_out = 0
    if task.pairs_of:
        left_out = sum(1 for _ in task.pairs_of.examples(root, split, pair(language)[0])) - count
    return Found(count, task.count(split, language), gold, left_out)
