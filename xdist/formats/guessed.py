"""What a file of a task looks like: its form, its family, where the parts of an example are. A guess, shown to the user.

Text files are guessed from their first lines, tables from their first rows, labels from all of them.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from xdist.errors import UserError
from xdist.formats import conll, guessed_columns, tables, treebank
from xdist.formats.layout import ENDINGS, Layout
from xdist.formats.lines import is_blank, read_json, read_lines, without_trailing_blanks
from xdist.formats.sources import KINDS

LINES = 400
ROWS = 2000
SPANS = re.compile(r"O|[BIESLU]-.+")
_NUMBERED = re.compile(r"\d+([-.]\d+)?")
_PREFIX = re.compile(r"([a-z]{2,3}(?:-[a-z-]+)?):.")
_HEADING = re.compile(r"[A-Za-z_][\w .-]{0,40}")

TaskKeys = dict[str, Any]  # of a task's description, as in YAML


def guess_form(path: Path, family: str = "") -> TaskKeys:
    """The keys that describe the file at `path`: its family, if that is not given, and what its ending does not say. Raises
    UserError for a file that cannot be read, and one whose parts do not show."""
    form = form_of(path)
    ending = path.suffix.removeprefix(".").lower()
    keys: TaskKeys = {} if ENDINGS.get(ending) == form or form == "text" else {"form": form}
    if form == "squad":
        return {"family": "span-qa"}
    if form == "text":
        family = family or ("masked-lm" if ending in KINDS else "sentence-retrieval")  # FLORES: eng_Latn.devtest
        return {"family": family, **({"form": "parallel"} if family == "sentence-retrieval" else {})}
    if form in ("conll", "conllu"):
        return {"family": "tagging", **keys, **(_conll(path) if form == "conll" else _treebank(path))}
    return keys | _table(path, form, family)


def form_of(path: Path) -> str:
    """One of the forms that a description may name, or "text" for running text. Raises UserError as `guess_form`."""
    ending = path.suffix.removeprefix(".").lower()
    if ending == "parquet":
        return ending
    if ending == "json":
        value = read_json(path)
        if isinstance(value, dict) and isinstance(value.get("data"), list):
            return "squad"
        raise UserError(f"{path}: is one JSON value and not SQuAD's; what is read is an object a line (JSON lines)")
    lines = [line for _, line in islice(without_trailing_blanks(read_lines(path)), LINES)]
    full = [line for line in lines if not is_blank(line)]
    if not full:
        raise UserError(f"{path}: holds no example")
    if ending in ("jsonl", "ndjson") or full[0].startswith("{"):
        return "jsonl"
    if ending == "csv":
        return ending
    data = [line.split("\t") for line in full if not line.startswith("#")]
    if data and all(len(row) == treebank.COLUMNS and _NUMBERED.fullmatch(row[0]) for row in data):
        return "conllu"
    if _is_conll(lines):
        return "conll"
    if all("\t" in line for line in full):
        return "tsv"
    first = next(csv.reader(full[:1]), [])
    return "csv" if len(first) > 1 and _is_header(first) else "text"


def _is_conll(lines: Sequence[str]) -> bool:
    """Lines of few columns, one of which holds few values, with blank lines between some of them or tags of spans."""
    rows = [conll.cells(line) for line in lines if not _no_word(line)]
    if not rows or len(rows[0]) < 2 or (widths := Counter(map(len, rows))).most_common(1)[0][1] < 0.9 * len(rows):
        return False
    width = widths.most_common(1)[0][0]
    last = [row[-1] for row in rows if len(row) == width]
    if all(map(SPANS.fullmatch, last)):
        return True
    parted = any(is_blank(line) for line in lines[1:])
    return parted and any(
        len(set(column)) <= max(2, len(column) // 3)
        for column in list(zip(*(r for r in rows if len(r) == width), strict=True))[1:]
    )


def _no_word(line: str) -> bool:
    return is_blank(line) or line.startswith((conll.DOCUMENT, "# "))


def _conll(path: Path) -> TaskKeys:
    lines = [line for _, line in islice(read_lines(path), LINES)]
    rows = [conll.cells(line) for line in lines if not _no_word(line)]
    width = Counter(map(len, rows)).most_common(1)[0][0]
    columns = list(zip(*(row for row in rows if len(row) == width), strict=True))
    word = 1 if not all(cell.isdigit() for cell in columns[0]) or width == 2 else 2
    spans = [place for place, column in enumerate(columns, start=1) if _are_spans(column)]
    few = [place for place in range(width, 0, -1) if place != word and len(set(columns[place - 1])) > 1]
    tag = spans[0] if spans else few[0] if few else width
    keys: TaskKeys = {"columns": {"word": word, "tag": tag}}
    # A word may be "#": lines of comments are those that have no tag of the others.
    if any(line.startswith("# ") and not _has_tag(line, tag, set(columns[tag - 1])) for line in lines):
        keys["comment"] = "# "
    prefixes = {match[1] if (match := _PREFIX.match(cell)) else "" for cell in columns[word - 1]}
    if len(prefixes) == 1 and "" not in prefixes:
        keys["strip"] = "prefix"
    return keys | _with_labels(path, "tagging", keys)


def _are_spans(column: Sequence[str]) -> bool:
    return all(map(SPANS.fullmatch, column)) and set(column) != {"O"}


def _has_tag(line: str, tag: int, tags: set[str]) -> bool:
    found = conll.cells(line)
    return len(found) >= tag and found[tag - 1] in tags


def _treebank(path: Path) -> TaskKeys:
    for column in (treebank.UPOS, treebank.UPOS + 1):
        keys: TaskKeys = {} if column == treebank.UPOS else {"columns": {"tag": column}}
        if (found := _with_labels(path, "tagging", keys)).get("labels"):
            return keys | found
    raise UserError(f"{path}: a treebank without tags: no word has UPOS or XPOS")


def _table(path: Path, form: str, family: str) -> TaskKeys:
    keys: TaskKeys = {}
    if form == "tsv" and _is_quoted(path):
        keys["quotes"] = True
    header = form not in ("tsv", "csv") or _is_header(next(_first_rows(path, form, keys)))
    rows = [row for _, row in islice(tables.rows(path, form, header=header, quotes=bool(keys)), ROWS)]
    if not rows:
        raise UserError(f"{path}: holds no example")
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    family, found = guessed_columns.columns_of(path, columns, family)
    if header and all(str(column).isdigit() for columns in found["columns"].values() for column in columns):
        keys["header"] = True
    keys = {"family": family, **keys, **found}
    return keys | (_with_labels(path, family, keys) if family in ("classification", "tagging") else {})


def _first_rows(path: Path, form: str, keys: TaskKeys) -> Any:
    rows = tables.rows(path, form, header=False, quotes=bool(keys))
    return (list(row.values()) for _, row in rows)


def _is_quoted(path: Path) -> bool:
    """Whether cells of a TSV are in quotes, all that begin with one, and lines are of one width then."""
    lines = [f"{line}\n" for _, line in islice(without_trailing_blanks(read_lines(path)), LINES)]
    if not any(cell.startswith('"') for line in lines for cell in line.rstrip("\n").split("\t")):
        return False
    try:
        return len({len(row) for row in csv.reader(lines, delimiter="\t", strict=True)}) == 1
    except csv.Error:
        return False


def _is_header(cells: Sequence[str]) -> bool:
    words = [cell.strip() for cell in cells]
    return all(map(_HEADING.fullmatch, filter(None, words))) and any(word.lower() in guessed_columns.HEADINGS for word in words)


def _with_labels(path: Path, family: str, keys: TaskKeys) -> TaskKeys:
    """The labels that the file holds, and the metric of tags that are no spans."""
    columns = {role: tuple(map(str, one if isinstance(one, list) else [one])) for role, one in keys.get("columns", {}).items()}
    layout = Layout(
        family=family,
        form=form_of(path),
        columns=columns,
        header=keys.get("header"),
        quotes=keys.get("quotes", False),
        comment=keys.get("comment", ""),
        prefixed="strip" in keys,
    )
    found: set[str] = set()
    for _, example in layout.placed(path):
        found.update(filter(None, (example.tags or ()) if family == "tagging" else [example.label]))
    spans = family != "tagging" or all(map(SPANS.fullmatch, found))
    return {"labels": sorted(found), **({} if spans else {"metric": "accuracy"})}
