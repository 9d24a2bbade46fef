"""What lies in a data root, counted against the official counts."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from xdist.formats.examples import Query
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
        for code in task.languages_of(split)
        if task.is_there(root, split, code)
    ]


def check(task: Task, root: Path, split: str, language: str) -> Found:
    """Read one split in one language. Raises UserError for a file that is not what it should be."""
    count, gold = 0, bool(task.fields)  # running text needs none
    for example in task.examples(root, split, language):
        match example:
            case ("foreign" | "dev-foreign" | "dev-english", _):  # of two sides one is counted, and of mining the test set
                continue
            case ("candidate", _):  # needs no gold
                gold = True
            case (Query(), _) | (_, Query()):
                gold = gold or any(gold_of(part) is not None for part in example if isinstance(part, Query))
            case (_, value):
                gold = gold or gold_of(value) is not None
            case _:
                gold = gold or gold_of(example) is not None
        count += 1
    left_out = 0
    if task.pairs_of:
        left_out = sum(1 for _ in task.pairs_of.examples(root, split, pair(language)[0])) - count
    return Found(count, task.count(split, language), gold, left_out)
