"""Sentences and sentence pairs with a label: the prepared tsv of XNLI and PAWS-X, and the files as published.

Prepared files (google-research/xtreme, utils_preprocess.py) hold one or two texts and a label, test files the texts
alone. They are written with csv quoting and CRLF, and the official reader does not undo the quoting: the model sees
`"He said ""hi""."`. `quoting="faithful"` keeps that, `quoting="clean"` undoes it; record which of the two a score used.
"""

import csv
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xdist.errors import UserError, shown, unknown
from xdist.formats.examples import Classified
from xdist.formats.gold import with_uniform_gold
from xdist.formats.lines import nearest_name, read_lines, without_trailing_blanks

Quoting = Literal["faithful", "clean"]

# What PAWS-X holds in a cell whose sentence was not translated; its label is then 0, for any English label.
UNTRANSLATED = "NS"
# How columns are called where a file has a heading.
_HEADINGS = {
    *(
        "text",
        "texts",
        "text1",
        "text2",
        "text_a",
        "text_b",
        "sentence",
        "sentence1",
        "sentence2",
        "premise",
        "hypothesis",
        "hypo",
    ),
    *(
        "question",
        "question1",
        "question2",
        "review",
        "title",
        "body",
        "content",
        "label",
        "labels",
        "class",
        "category",
        "gold",
    ),
    *("gold_label", "target", "id", "idx", "index", "guid", "language", "lang"),
}
# MultiNLI spells this label in two ways; QQP numbers its labels, which the hub names so.
_RENAMED = {"contradictory": "contradiction"}
_DUPLICATE = {"0": "not_duplicate", "1": "duplicate"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The columns, by name in the header line, of a file as its authors publish it. `tolerant`: short rows are left out, as the
    official loader does."""

    texts: tuple[str, ...]
    label: str
    language: str | None = None
    tolerant: bool = False


XNLI = Published(texts=("sentence1", "sentence2"), label="gold_label", language="language")
MULTINLI = Published(texts=("premise", "hypo"), label="label")
PAWSX = Published(texts=("sentence1", "sentence2"), label="label")
QQP = Published(texts=("question1", "question2"), label="is_duplicate", tolerant=True)
RTE = Published(texts=("sentence1", "sentence2"), label="label")
AMERICASNLI = Published(texts=("premise", "hypothesis"), label="label", language="language")


def untranslated(example: Classified) -> bool:
    """Does a cell of this PAWS-X row say that it was not translated? Official scores keep such rows."""
    return UNTRANSLATED in example.texts


def read(
    path: Path, *, labels: Collection[str], texts: int = 2, quoting: Quoting = "faithful", need_gold: bool = False
) -> Iterator[Classified]:
    """A prepared file: `texts` (1 or 2) text columns TAB label, or the text columns alone (label None).

    Raises UserError: a row of another width, an empty line, a label outside `labels`, quotes that do not close
    ("clean"), rows with and without label in one file, no label under `need_gold`, a first line that shows another form:
    a heading, commas for tabs, a column too few before the label.
    """
    return with_uniform_gold(_prepared(path, labels, texts, quoting, need_gold), need_gold)


def read_published(
    path: Path, form: Published, *, labels: Collection[str], language: str | None = None, need_gold: bool = True
) -> Iterator[Classified]:
    """A file as published: XNLI-1.0 `xnli.{dev,test}.tsv`, XNLI-MT `multinli.train.en.tsv`, PAWS-X
    `x-final/xx/*.tsv`, AmericasNLI `*.tsv`. Where `form` has a language column, only the rows of `language` are given.

    Raises UserError: no such column, a short row, an unknown label, a language that the file does not hold.
    """
    if (language is None) != (form.language is None):
        raise ValueError(f"language={language!r} for a form with language column {form.language!r}")
    return with_uniform_gold(_published(path, form, labels, language), need_gold)


def _prepared(
    path: Path, labels: Collection[str], texts: int, quoting: Quoting, need_gold: bool
) -> Iterator[tuple[str, Classified]]:
    expected = f"expected {texts} text column{'s' * (texts > 1)} and a label"
    for number, line in without_trailing_blanks(read_lines(path)):
        where = f"{path}:{number}"
        cells = _unquoted(line, where) if quoting == "clean" else line.split("\t")
        if len(cells) not in (texts, texts + 1) or not line:
            found = f"{len(cells)}{'' if len(cells) > 1 else ', no tab'}: {shown(line)}" if line else "none"
            raise UserError(f"{where}: {expected}, found {found}")
        if number == 1 and (reason := _other_form(cells, labels, texts)):
            raise UserError(f"{where}: {expected}, found {reason}: {shown(line)}")
        if len(cells) == texts + 1:
            yield where, Classified(texts=tuple(cells[:texts]), label=_label(cells[texts], labels, where))
        elif need_gold:
            raise UserError(f"{where}: gold is missing or blanked: {expected}, found no label: {shown(line)}")
        else:
            yield where, Classified(texts=tuple(cells))


def _other_form(cells: Sequence[str], labels: Collection[str], texts: int) -> str:
    """What the cells of a first line are, where they show that the file has another form; else nothing."""
    if all(cell.strip().lower() in _HEADINGS for cell in cells) and cells[-1].strip() not in labels:
        return "a heading"
    if len(cells) > texts:
        return ""
    if texts > 1 and cells[-1].strip() in labels:
        return f"{texts} columns of which the last is a label"
    parts = (cells[-1].rpartition(delimiter) for delimiter in ",;|")
    return "no tab before the label" if any(mark and last.strip('"') in labels for _, mark, last in parts) else ""


def _published(path: Path, form: Published, labels: Collection[str], language: str | None) -> Iterator[tuple[str, Classified]]:
    lines = without_trailing_blanks(read_lines(path))
    header = next(lines, (1, ""))[1].split("\t")
    for name in (*form.texts, form.label, *filter(None, [form.language])):
        if name not in header:
            raise UserError(f"{path}:1: no column '{name}'{nearest_name(name, header)}")
    texts, label = [header.index(name) for name in form.texts], header.index(form.label)
    column = header.index(form.language) if form.language else None
    languages: set[str] = set()
    for number, line in lines:
        where, cells = f"{path}:{number}", line.split("\t")
        if form.tolerant and len(cells) < len(header):
            continue
        if len(cells) != len(header):
            raise UserError(f"{where}: expected {len(header)} columns as in the header, found {len(cells)}: {shown(line)}")
        if column is not None:
            languages.add(cells[column])
            if cells[column] != language:
                continue
        yield (
            where,
            Classified(texts=tuple(cells[index].strip() for index in texts), label=_label(cells[label], labels, where)),
        )
    if column is not None and language not in languages:
        raise UserError(f"{path}: {unknown('language', language, languages)}")


def _unquoted(line: str, where: str) -> list[str]:
    try:
        # strict=True: a quote inside a cell that does not close is an error, not a cell that swallows the next one.
        return next(csv.reader([line], delimiter="\t", strict=True), [])
    except csv.Error as error:
        raise UserError(f"{where}: not csv-quoted ({error}); read this file with quoting faithful") from None


def _label(cell: str, labels: Collection[str], where: str) -> str:
    label = _RENAMED.get(cell.strip(), cell.strip())
    if "duplicate" in labels:
        label = _DUPLICATE.get(label, label)
    if label not in labels:
        raise UserError(f"{where}: {unknown('label', label, labels)}")
    return label
