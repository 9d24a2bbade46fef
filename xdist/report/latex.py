"""Tables for a paper: LaTeX, one file per table, to be \\input; each fits the width of an article, over several pages.

What has more columns than a page is in several tables below each other. Conditions, whose names are long, are letters where
they are columns, said below the table. Names of tasks, metrics and conditions are in columns of a fixed width and may break.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from xdist.report.beside import NOT_RUN
from xdist.report.findings import Findings
from xdist.report.measured import HEADS
from xdist.report.naming import name_of
from xdist.report.numbers import probability, signed
from xdist.report.page import blocks as page_blocks
from xdist.report.scores import Column
from xdist.report.task_table import Score, TaskRow

ESCAPES = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "·": r"$\cdot$",
    "−": "$-$",
    "±": r"$\pm$",
    "–": "--",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "“": "``",
    "”": "''",
}
NEEDS = r"\usepackage{array,booktabs,longtable}"
MEAN, OFFICIAL = ("mean", "of these tasks"), "official"  # columns that are no task
TASKS, CONDITIONS = 5, 6  # columns of scores next to each other


@dataclass(frozen=True, slots=True)
class LatexTable:
    """`columns` of its preamble; two rows of `heads`; `blocks` of rows, between rules; `below`: a line each under the table."""

    caption: str
    columns: str
    heads: tuple[Sequence[str], Sequence[str]]
    blocks: Sequence[Sequence[Sequence[str]]]
    below: Sequence[str] = ()

    @property
    def text(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        width = len(self.heads[1])
        yield r"{\footnotesize\setlength{\tabcolsep}{3pt}"
        yield rf"\begin{{longtable}}{{{self.columns}}}"
        yield rf"\caption{{{self.caption}}}\\"
        yield r"\toprule"
        for row in self.heads:
            yield " & ".join(row) + r" \\"
        yield r"\midrule"
        yield r"\endhead"
        for number, block in enumerate(self.blocks):
            if number:
                yield r"\midrule"
            yield from (" & ".join(row) + r" \\" for row in block)
        yield r"\bottomrule"
        for line in self.below:
            yield rf"\multicolumn{{{width}}}{{p{{0.95\linewidth}}}}{{\scriptsize {line}}} \\"
        yield r"\end{longtable}}"


def escaped(text: str) -> str:
    return "".join(ESCAPES.get(character, character) for character in " ".join(text.split()))


def tables(findings: Findings) -> dict[str, str]:
    """File name: text. Tables that would be empty are left out."""
    files: dict[str, list[LatexTable]] = {}
    if findings.tasks:
        files["tasks.tex"] = list(_tasks(findings))
    if findings.answer.rows:
        files["groups.tex"] = [_groups(findings)]
    if findings.scores.columns:
        files["languages.tex"] = list(_languages(findings))
    return {name: _file(parts) for name, parts in files.items()}


def _file(parts: Sequence[LatexTable]) -> str:
    return f"% Needs {NEEDS}; is in no float.\n" + "\n\n".join(part.text for part in parts) + "\n"


def _tasks(findings: Findings) -> Iterator[LatexTable]:
    """The tasks, this many next to each other; the last table has the means."""
    tasks = [(task.name, task.metric.headline) for task in findings.results.tasks]
    means = [*([MEAN] if len(tasks) > 1 else []), *([(findings.average, OFFICIAL)] if findings.averaged else [])]
    columns = [*tasks, *means]
    for start in range(0, len(columns), TASKS):
        part = columns[start : start + TASKS]
        notes: dict[str, str] = {}
        rows = [
            [escaped(row.condition), *(_cell_of(row, column, notes, findings) for column in part)] for row in findings.tasks
        ]
        beside = [
            [
                escaped(f"{extra.name} ({extra.said})" if extra.said.startswith(NOT_RUN) else extra.name),
                *(f"{extra.tasks[name]:.1f}" if name in extra.tasks else "--" for name, _ in part),
            ]
            for extra in findings.beside
            if any(name in extra.tasks for name, _ in part)
        ]
        yield LatexTable(
            "Mean and standard deviation over seeds; bold: better than each other condition after Holm's correction.",
            rf"{_text('3.5cm')}*{{{len(part)}}}{{{_number('1.45cm')}}}",
            (("", *(escaped(name) for name, _ in part)), ("condition", *(escaped(metric) for _, metric in part))),
            [rows, *([beside] if beside else [])],
            [f"$^{{{mark}}}$ {{\\scriptsize ({escaped(note)})}}" for note, mark in notes.items()],
        )


def _cell_of(row: TaskRow, column: tuple[str, str], notes: dict[str, str], findings: Findings) -> str:
    if column == MEAN:
        return _score(row.mean, notes)
    if column == (findings.average, OFFICIAL):
        return _score(row.average, notes) if row.average else escaped(row.done)
    return _score(row.tasks.get(column[0]), notes)


def _groups(findings: Findings) -> LatexTable:
    blocks = []
    for row in findings.answer.rows:
        names = [escaped(row.name)] + [""] * (len(row.differences) - 1)
        block = []
        for name, one in zip(names, row.differences, strict=True):
            difference = _math(signed(one.interval.difference), one.shown)
            interval = f"$[{signed(one.interval.low)}, {signed(one.interval.high)}]$"
            size = escaped(one.over) or str(one.languages)
            block.append([name, escaped(one.condition), difference, interval, _math(probability(one.p), False), size])
        blocks.append(block)
    return LatexTable(
        "Difference from the baseline in points with 95\\,\\% intervals; bold: shown after Holm's correction.",
        rf"{_text('2cm')}{_text('3.3cm')}rrr{_number('1.5cm')}",
        (("", "", "", "", "$p$", ""), ("group", "condition", "difference", r"95\,\% interval", "(Holm)", "languages")),
        blocks,
    )


def _languages(findings: Findings) -> Iterator[LatexTable]:
    """A table for each task or several that fit; the first says how the tokenizer takes each language."""
    scores, letters = findings.scores, _letters(findings.scores.runs)
    several = len(scores.runs) > 1
    for number, columns in enumerate(_beside(scores.columns)):
        extra = HEADS if scores.is_measured and number == 0 and len(columns) <= 2 else ()
        blocks: dict[str, list[list[str]]] = {}
        for code in scores.languages:
            cells = [_cell(column, code) for column in columns]
            measures = map(escaped, scores.measures(code) if extra else [])
            row = [escaped(name_of(code)), escaped(scores.size(code)), *measures, *cells]
            blocks.setdefault("/".join(scores.groups(code)), []).append(row)
        firsts = [place == 0 or column.task != columns[place - 1].task for place, column in enumerate(columns)]
        above = [escaped(f"{column.task}") if first else "" for column, first in zip(columns, firsts, strict=True)]
        below = [letters[column.run] if several else escaped(column.metric) for column in columns]
        captions = [f"{column.task}: {column.metric}" for column, first in zip(columns, firsts, strict=True) if first]
        notes = [rf"\dag: trained on; {escaped('; '.join(captions))}"]
        if several:
            notes += [f"{letters[run]}: {escaped(run)}" for run in dict.fromkeys(column.run for column in columns)]
        yield LatexTable(
            "Score of every language, from least to most pre-training text.",
            rf"{_text('2.7cm')}{_number('1.1cm')}*{{{len(extra) + len(columns)}}}{{{_number('1.1cm')}}}",
            (("", "", *[""] * len(extra), *above), ("language", escaped(scores.unit), *map(escaped, extra), *below)),
            list(blocks.values()),
            [*notes, *map(escaped, scores.remarks if number == 0 else [])],
        )


def _beside(columns: Sequence[Column]) -> Iterator[Sequence[Column]]:
    for block in page_blocks(columns):
        for start in range(0, len(block), CONDITIONS):
            yield block[start : start + CONDITIONS]


def _letters(names: Sequence[str]) -> Mapping[str, str]:
    """A to Z, then A2 and so on."""
    size = len(ascii_uppercase)
    return {name: ascii_uppercase[n % size] + (f"{n // size + 1}" if n >= size else "") for n, name in enumerate(names)}


def _text(width: str) -> str:
    return rf">{{\raggedright\arraybackslash}}p{{{width}}}"


def _number(width: str) -> str:
    return rf">{{\raggedleft\arraybackslash}}p{{{width}}}"


def _cell(column: Column, code: str) -> str:
    cell = column.cells.get(code)
    return "--" if cell is None else f"{cell.score:.1f}" + (r"\dag" if cell.trained else "")


def _score(cell: Score | None, notes: dict[str, str]) -> str:
    """`notes`: by what a mean is over, the letter that says it below the table."""
    if cell is None:
        return "--"
    text = f"{cell.mean:.1f}" + (rf" {{\scriptsize $\pm$ {cell.spread:.1f}}}" if cell.spread is not None else "")
    text = rf"\textbf{{{text}}}" if cell.best else text
    return text + (f"$^{{{notes.setdefault(cell.over, chr(ord('a') + len(notes)))}}}$" if cell.over else "")


def _math(text: str, bold: bool) -> str:
    return rf"$\mathbf{{{text}}}$" if bold else f"${text}$"
