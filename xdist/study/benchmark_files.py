"""What a benchmark has to do, and which of its test files exist."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdist.study.suite import LoadedSuite, RecipeTasks
from xdist.tasks.catalog import Task
from xdist.tasks.catalog.chosen import chosen


@dataclass(frozen=True, slots=True)
class Asked:
    """What a benchmark has to do. `tasks` and `languages`: only these; empty: all of the suite. `train`: False scores the
    model unchanged. `overrides`: a.b=c, of every run."""

    model: str
    suite: LoadedSuite
    root: Path
    out: Path
    tasks: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    seeds: int = 1
    train: bool = True
    overrides: tuple[str, ...] = ()

    @property
    def split(self) -> str:
        given = [text.partition("=")[2] for text in self.overrides if text.startswith("evaluate.split=")]
        return given[-1] if given else "test"


class FilesThere:
    """Which of a recipe's tasks, as far as they are included, have test files in which of their languages."""

    def __init__(self, asked: Asked, one: RecipeTasks) -> None:
        self.tasks = {entry: codes for entry, codes in one.tasks.items() if not asked.tasks or entry.name in asked.tasks}
        self.there: dict[Task, list[str]] = {}
        self.missing: dict[str, tuple[str, ...]] = {}
        self.absent: dict[str, str] = {}
        for entry, codes in self.tasks.items():
            named = chosen(entry, asked.languages)
            wanted = [code for code in codes if not asked.languages or code in named]
            if not wanted:
                self.absent[entry.name] = "has none of the languages that were named"
                continue
            if asked.split not in entry.files:
                self.absent[entry.name] = f"has no split '{asked.split}'"
                continue
            here = [code for code in wanted if entry.is_there(asked.root, asked.split, code)]
            if not here:
                paths = entry.paths(asked.root, asked.split, wanted[0])
                path = next((path for path in paths if not path.is_file()), paths[0])
                self.absent[entry.name] = f"no files, such as {path}"
                continue
            self.there[entry] = here
            self.missing[entry.name] = tuple(code for code in wanted if code not in here)
        self.whole = all(list(entry.languages) == list(codes) for entry, codes in one.tasks.items()) and not asked.languages
        self._drop()

    def _drop(self) -> None:
        """A run names its languages for all its tasks together: leave out one that another of them has no files of."""
        if self.whole:
            return
        for entry, codes in self.there.items():
            for other, theirs in self.there.items():
                gone = [code for code in codes if not set(chosen(other, [code])).issubset(theirs)]
                codes[:] = [code for code in codes if code not in gone]
                self.missing[entry.name] += tuple(gone)
        for entry in [entry for entry, codes in self.there.items() if not codes]:
            del self.there[entry]
            self.absent[entry.name] = "its languages have no files of the tasks that are scored with it"

    @property
    def languages(self) -> Any:
        return "all" if self.whole else list(dict.fromkeys(code for codes in self.there.values() for code in codes))
