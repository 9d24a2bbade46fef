"""Where a data set of the hub has the files of a task, and how its columns become Examples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xdist.formats import parquet
from xdist.formats.columns import Columns
from xdist.formats.layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """A data set of the hub that holds the task as Parquet files, kept below `<data root>/hub/<id>/` as in its repository.

    `config` and `splits` are the set's own names; `{language}` in either is the language code, or its name in `codes`. It has
    none of the languages that it `lacks`, and of every split `lost` examples fewer, the last ones.
    With a mapping as `columns`, every row is read once per entry, and examples come as (name of the entry, Example); a split
    in `kinds` has rows of that entry alone. `{language}` is in names of columns too.
    `checked`: one of its files was read as this entry says.
    """

    id: str
    config: str
    splits: Mapping[str, str]
    columns: Columns | Layout | Mapping[str, Columns]
    codes: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    lost: int = 0
    lacks: tuple[str, ...] = ()
    checked: bool = True

    def config_of(self, language: str) -> str:
        return self.config.format(language=self.codes.get(language, language))

    def split_of(self, split: str, language: str) -> str:
        return self.splits[split].replace("{language}", self.codes.get(language, language))

    def folder(self, root: Path, language: str) -> Path:
        return root / "hub" / self.id / self.config_of(language)

    def files(self, root: Path, split: str, language: str) -> tuple[Path, ...]:
        """The files of a split that it has of a language, in order; none where none exists."""
        folder = self.folder(root, language)
        for pattern in parquet_files(self.split_of(split, language)):
            if found := sorted(path for path in folder.glob(pattern) if not path.name.startswith(".")):
                return tuple(found)
        return ()

    def read(
        self, paths: tuple[Path, ...], split: str, language: str, need_gold: bool, labels: tuple[str, ...] = ()
    ) -> Iterator[Any]:
        if isinstance(self.columns, Columns):
            yield from parquet.read(paths, self.columns, need_gold=need_gold, labels=labels)
            return
        if isinstance(self.columns, Layout):
            yield from self.columns(*paths, need_gold=need_gold)
            return
        code = self.codes.get(language, language)
        for name, columns in self.columns.items():
            if name != self.kinds.get(split, name):
                continue
            of_language = replace(columns, texts=tuple(text.replace("{language}", code) for text in columns.texts))
            yield from ((name, example) for example in parquet.read(paths, of_language, need_gold=need_gold))


def parquet_files(split: str) -> tuple[str, ...]:
    """Patterns of a split's files in the folder of its config, as the hub's repositories have them: the first that fits."""
    return f"{split}-*.parquet", f"{split}/*.parquet", f"{split}.parquet"
