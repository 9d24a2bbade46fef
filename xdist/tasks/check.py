"""What is in a data root, counted against the official counts."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from xdist.formats.gold import BESIDE, NO_GOLD, gold_of
from xdist.tasks.catalog import Task
from xdist.tasks.catalog.task import POOL


@dataclass(frozen=True, slots=True)
class Checked:
    """Examples of one split in one language; `official` is None where that count is not known. `gold` is true too where none
    is needed. `lost` of the last ones are not in the hub's copy."""

    count: int
    official: int | None
    gold: bool
    untranslated: int = 0
    lost: int = 0

    @property
    def remark(self) -> str:
        """What is not as it should be, or not as officially; empty if nothing is."""
        remarks = [] if self.gold else [NO_GOLD]
        if self.lost and self.official == self.count + self.lost:
            remarks.append(f"the last {'one' if self.lost == 1 else self.lost} of the released file is not in the hub's copy")
        elif self.official not in (None, self.count + self.untranslated):
            remarks.append("a part" if self.count < (self.official or 0) else "more than officially: another release?")
        if self.untranslated:
            remarks.append(f"{self.untranslated} untranslated rows skipped")
        return "; ".join(remarks)


def files_there(root: Path, tasks: Iterable[Task]) -> list[tuple[Task, str, str]]:
    """The (task, split, language) whose files are all there."""
    return [
        (task, split, code)
        for task in tasks
        for split in task.files
        for code in task.languages_of(split)
        if task.is_there(root, split, code)
    ]


def check_split(task: Task, root: Path, split: str, language: str) -> Checked:
    """Read one split in one language. Raises UserError for a file that is not what it should be."""
    count, gold = 0, split == POOL or bool(task.fields)  # candidates and running text need none
    for example in task.examples(root, split, language):
        gold = gold or gold_of(example) is not None
        match example:
            case (str() as side, _) if side == "foreign" or side.startswith(BESIDE):
                continue  # of two sides one is counted, and of mining the test set
        count += 1
    left_out = 0
    if task.pairs_of:
        left_out = sum(1 for _ in task.pairs_of.examples(root, split, task.parts(language)[0])) - count
    of_hub = task.hub is not None and task.paths(root, split, language)[0].suffix == ".parquet"
    return Checked(count, task.count(split, language), gold, left_out, task.hub.lost if of_hub and task.hub else 0)
