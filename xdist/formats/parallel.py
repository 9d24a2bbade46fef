"""Sentences of one side of a parallel corpus: Tatoeba, BUCC 2018, NTREX-128 and any text of one sentence a line.

Tatoeba as officially prepared: `xx-en.xx` in the original order, `xx-en.en` sorted by code point; a label file gives,
for each English line, the 0-based row of its translation among the foreign lines. Label files are also found the other way
round, line i giving the English row of line i of the other language: `read_sides` distinguishes the two.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from xdist.errors import UserError
from xdist.formats.examples import Sentence
from xdist.formats.lines import read_lines, without_trailing_blanks

T = TypeVar("T")

# What the eBible corpus has instead of a verse whose text is part of an earlier one.
RANGE = "<range>"


def read_tatoeba(path: Path, *, labels: Path | None = None) -> Iterator[Sentence]:
    """The sentences of one file; `id` is the 0-based row, `gold` the row on the other side, from `labels` if given.

    Raises UserError: a label that is no row number or appears twice, another number of labels than of sentences.
    """
    gold = list(_rows(labels)) if labels else None
    row = -1
    for row, (_, line) in enumerate(without_trailing_blanks(read_lines(path))):
        if gold is not None and row >= len(gold):
            raise UserError(f"{labels}: {len(gold)} labels, but {path} has more sentences")
        yield Sentence(id=str(row), text=line.strip(), gold=gold[row] if gold is not None else None)
    if gold is not None and len(gold) != row + 1:
        raise UserError(f"{labels}: {len(gold)} labels for the {row + 1} sentences of {path}")


def read_sides(foreign: Path, english: Path, labels: Path | None = None) -> Iterator[tuple[str, Sentence]]:
    """("foreign", sentence) for all of one file, then ("english", sentence) for all of the other; `gold` of an English sentence
    is the row of its translation, for both ways in which `labels` may be written. Raises UserError as `read_tatoeba`."""
    index, queries = _check_some(foreign, read_tatoeba(foreign)), _check_some(english, read_tatoeba(english, labels=labels))
    yield from (("foreign", sentence) for sentence in index)
    if labels and _other_way_round([int(query.gold or 0) for query in queries], queries, index):
        inverse = {query.gold: str(row) for row, query in enumerate(queries)}
        queries = [replace(query, gold=inverse[query.id]) for query in queries]
    yield from (("english", sentence) for sentence in queries)


def is_turned(foreign: Path, english: Path, labels: Path) -> bool:
    """Whether `labels` are written the other way round, from foreign rows to English ones."""
    index, queries = list(read_tatoeba(foreign)), list(read_tatoeba(english, labels=labels))
    return _other_way_round([int(query.gold or 0) for query in queries], queries, index)


def read_aligned(foreign: Path, english: Path) -> Iterator[tuple[str, Sentence]]:
    """The same for two files whose rows translate each other: NTREX-128. Raises UserError for files of different lengths."""
    index, queries = _check_some(foreign, read_tatoeba(foreign)), _check_some(english, read_parallel(english))
    if len(index) != len(queries):
        raise UserError(f"{foreign}: {len(index)} sentences, but {english} has {len(queries)}: the files are not parallel")
    yield from (("foreign", sentence) for sentence in index)
    yield from (("english", sentence) for sentence in queries)


def read_filled(foreign: Path, pivot: Path) -> Iterator[tuple[str, Sentence]]:
    """The same, without the rows that are blank in one of the files, as a verse that was not translated."""
    return _filled(foreign, pivot, *([line.strip() for _, line in read_lines(path)] for path in (foreign, pivot)))


def read_verses(foreign: Path, pivot: Path) -> Iterator[tuple[str, Sentence]]:
    """The same of two translations of the eBible corpus, a verse per line: without verses that one of them lacks, and without
    those that it has in one, whose text is in the first of their lines, before lines `<range>`."""
    return _filled(foreign, pivot, *(_verses(path) for path in (foreign, pivot)))


def _verses(path: Path) -> list[str]:
    lines = [line.strip() for _, line in read_lines(path)]
    joined = [line == RANGE for line in lines]
    return ["" if here or after else line for line, here, after in zip(lines, joined, [*joined[1:], False], strict=True)]


def _filled(foreign: Path, pivot: Path, first: Sequence[str], second: Sequence[str]) -> Iterator[tuple[str, Sentence]]:
    if len(first) != len(second):
        raise UserError(f"{foreign}: {len(first)} lines, but {pivot} has {len(second)}: the files are not parallel")
    if not any(map(all, zip(first, second, strict=True))):
        raise UserError(f"{foreign}: holds no example")
    return sides(first, second)


def sides(first: Sequence[str], second: Sequence[str]) -> Iterator[tuple[str, Sentence]]:
    """("foreign", sentence) for all of one, then ("english", sentence), of the rows that are filled in both, numbered again."""
    rows = [texts for texts in zip(first, second, strict=True) if all(texts)]
    yield from (("foreign", Sentence(id=str(row), text=text)) for row, (text, _) in enumerate(rows))
    yield from (("english", Sentence(id=str(row), text=text, gold=str(row))) for row, (_, text) in enumerate(rows))


def _other_way_round(rows: Sequence[int], queries: Sequence[Sentence], index: Sequence[Sentence]) -> bool:
    """Whether `rows` go from the index to the queries. A permutation does not say, but the lengths of translations go together
    (correlations of 0.7 and more in all languages of Tatoeba) and those of other sentences do not (0.1 and less).
    A small file is taken as written."""
    if len(rows) < 100 or len(rows) != len(index):
        return False
    english, foreign = (np.array([len(sentence.text) for sentence in side]) for side in (queries, index))
    if english.std() == 0 or foreign.std() == 0:
        return False
    as_written = np.corrcoef(english, foreign[rows])[0, 1]
    reversed_ = np.corrcoef(foreign, english[rows])[0, 1]
    return bool(reversed_ > as_written + 0.3)


def read_parallel(path: Path) -> Iterator[Sentence]:
    """Row i here translates row i of the other file (NTREX-128, Tatoeba before it is sorted): `gold` is the own row."""
    for row, (_, line) in enumerate(without_trailing_blanks(read_lines(path))):
        yield Sentence(id=str(row), text=line.strip(), gold=str(row))


def read_bucc(path: Path) -> Iterator[Sentence]:
    """BUCC: `id TAB sentence`. Gold pairs are in a separate file. Raises UserError: no tab, an id twice."""
    seen: set[str] = set()
    for number, line in without_trailing_blanks(read_lines(path)):
        id, tab, text = line.partition("\t")
        if not tab or not id:
            raise UserError(f"{path}:{number}: expected 'id TAB sentence', found {line!r:.40}")
        if id in seen:
            raise UserError(f"{path}:{number}: id '{id}' appears twice")
        seen.add(id)
        yield Sentence(id=id, text=text.strip())


def read_bucc_gold(path: Path) -> Iterator[tuple[str, str]]:
    """BUCC gold: (foreign id, English id) a line. Raises UserError for a line that is not two cells."""
    for number, line in without_trailing_blanks(read_lines(path)):
        cells = line.strip().split("\t")
        if len(cells) != 2:
            raise UserError(f"{path}:{number}: expected 'other id TAB English id', found {line!r:.40}")
        yield cells[0], cells[1]


def read_bucc_sides(foreign: Path, english: Path, gold: Path | None = None) -> Iterator[tuple[str, Sentence]]:
    """("foreign", sentence) for all of one file, then ("english", sentence). `gold` of a foreign sentence has the ids of its
    translations, separated by spaces: "" for none, None without a gold file. Raises UserError as `read_bucc` and
    `read_bucc_gold`, for an id of the gold that is in neither file, and for a gold file without a pair."""
    index, queries = _check_some(foreign, read_bucc(foreign)), _check_some(english, read_bucc(english))
    if gold:
        known = ({sentence.id for sentence in index}, {sentence.id for sentence in queries})
        translations: dict[str, list[str]] = {sentence.id: [] for sentence in index}
        for number, (left, right) in enumerate(_check_some(gold, read_bucc_gold(gold)), start=1):
            for id, ids, path in ((left, known[0], foreign), (right, known[1], english)):
                if id not in ids:
                    raise UserError(f"{gold}:{number}: id '{id}' is not in {path}")
            translations[left].append(right)
        index = [replace(sentence, gold=" ".join(translations[sentence.id])) for sentence in index]
    yield from (("foreign", sentence) for sentence in index)
    yield from (("english", sentence) for sentence in queries)


def _check_some(path: Path, found: Iterable[T]) -> list[T]:
    """`found` as a list. Raises UserError where the file at `path` holds nothing."""
    if not (listed := list(found)):
        raise UserError(f"{path}: holds no example")
    return listed


def _rows(path: Path) -> Iterator[str]:
    rows: list[tuple[int, str]] = [(number, line.strip()) for number, line in without_trailing_blanks(read_lines(path))]
    valid = {str(row) for row in range(len(rows))}
    for number, row in rows:
        if row not in valid:
            raise UserError(f"{path}:{number}: '{row}' is no row from 0 to {len(rows) - 1}, or appears twice")
        valid.remove(row)
        yield row
