"""The scores as tables for a terminal; groups are named in text, so that no colour is needed."""

import re
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from xdist.formats.gold import NO_GOLD, name_languages
from xdist.languages import EVERY_GROUP
from xdist.report.comparison import Compared, Comparison
from xdist.report.naming import name_of
from xdist.report.numbers import limits, probability, signed
from xdist.report.scores import SMALL, Column, ScoreTable
from xdist.run.tables import Table, show, terminal_width

WIDTH = 100
STYLES = {"unseen": "red", "low": "yellow", "mid": "green", "high": "blue"}
LOWEST = 10  # languages that are shown of many
_WIDE = 16  # of a heading, where it can be broken


def print_scores(scores: ScoreTable, console: Console) -> None:
    """Every language, then the means; in a terminal below each other where the columns do not fit side by side."""
    width = terminal_width(console)
    for line in language_table(scores).lines(width and min(WIDTH, width)):
        console.print(line, soft_wrap=True, highlight=False)
    for note in _legend(scores):
        show(Text(note, style="dim"), console)


def language_table(scores: ScoreTable) -> Table:
    """Every language; of many those with the lowest scores in the first column."""
    table = Table("language", "group", f">{scores.unit}", *_headings(scores), keys=3)
    for code in _lowest_languages(scores):
        groups = scores.groups(code)
        name = f"{name_of(code)} {code}" if name_of(code) != code else code
        cells = [_cell(column, code) for column in scores.columns]
        table.row(name, Text("/".join(groups), STYLES.get(groups[0], "")), scores.size(code), *cells)
    table.section()
    for row, means in _means(scores):
        table.row(Text(f"mean, {row}", STYLES.get(row, "bold")), "", "", *means)
    return table


def group_table(scores: ScoreTable) -> Table:
    """The means alone."""
    table = Table("mean over", *(heading.replace("*", "") for heading in _headings(scores)))
    for row, means in _means(scores):
        table.row(Text(row, STYLES.get(row, "bold")), *means)
    return table


def _lowest_languages(scores: ScoreTable) -> list[str]:
    if not scores.many:
        return list(scores.languages)
    lowest = sorted(scores.columns[0].cells.items(), key=lambda item: item[1].score)[:LOWEST]
    return [code for code in scores.languages if code in dict(lowest)]


def _headings(scores: ScoreTable) -> list[str]:
    return [">" + "\n".join(_header(scores, column)) for column in scores.columns]


def _means(scores: ScoreTable) -> Iterator[tuple[str, list[str]]]:
    """The rows that any column has a mean of."""
    for row in scores.rows:
        means = [column.summary[row] for column in scores.columns]
        if any(means):
            yield row, [_aligned(mean.score if mean else None) for mean in means]


def _cell(column: Column, code: str) -> str:
    cell = column.cells.get(code)
    if cell is None:
        return _aligned(None)
    return _aligned(cell.score, ("†" if cell.trained else "") + ("*" if cell.small and not column.all_small else ""))


def _aligned(score: float | None, marks: str = "") -> str:
    """The number with room for two marks behind it, so that decimals are below each other."""
    return ("–" if score is None else f"{score:.1f}") + marks.ljust(2)


def _header(scores: ScoreTable, column: Column) -> list[str]:
    small = "*" if column.all_small else ""
    run = [column.run] if len(scores.runs) > 1 else []
    return [line for name in (column.task + small, column.metric, *run) for line in _name_in_lines(name)]


def _name_in_lines(name: str) -> list[str]:
    """A long name in lines, broken behind what joins its words; no letter is left out."""
    lines = [""]
    for word in re.findall(r"[^-_/+ ]*[-_/+ ]*", name):
        if lines[-1] and len(lines[-1] + word.rstrip()) > _WIDE:
            lines.append("")
        lines[-1] += word
    return [line.rstrip() for line in lines]


def _legend(scores: ScoreTable) -> Iterator[str]:
    """Only what the tables above show."""
    if scores.many:
        yield f"the {LOWEST} languages with the lowest scores of {len(scores.languages)}; the report has all of them"
    yield from scores.remarks
    if any(cell.trained for column in scores.columns for cell in column.cells.values()):
        yield "† the task was trained on this language"
    if any(cell.small for column in scores.columns for cell in column.cells.values()):
        yield f"* fewer than {SMALL} test examples (next to a task: in every language)"
    yield from scores.unknown
    if little := scores.little_known:
        yield f"pieces that the vocabulary does not know: {little}"
    yield from scores.said
    yield "Means count each language once."


def comparison_table(title: str, found: Comparison) -> Table:
    """A row per group, then per language: scores of A and B, A - B, its 95 % interval and the corrected p-value."""
    notes = [f"{NO_GOLD}: {name_languages(found.blank)}"] if found.blank else []
    if found.many:
        notes.append(f"the {LOWEST} of {len(found.languages)} languages that differ most")
    if not found.read.known or any(name in EVERY_GROUP for name in found.groups):
        notes.append(found.read.said)
    table = Table(
        "", ">examples", ">A", ">B", ">A - B", ">95 % interval,\nuncorrected", ">p,\nHolm", title=title, note="\n".join(notes)
    )
    for name, row in found.groups.items():
        table.row(Text(f"{name} ({row.over or row.languages})", STYLES.get(name, "bold")), *_compared(row))
    table.section()
    for code in _furthest(found) if found.many else [*found.languages, *found.blank]:
        cells = _compared(found.languages[code]) if code in found.languages else ["–"] * 6
        table.row(f"{name_of(code)} {code}" if name_of(code) != code else code, *cells)
    return table


def _furthest(found: Comparison) -> list[str]:
    """Of many languages those that differ most, in their order."""
    by_difference = sorted(found.languages.items(), key=lambda item: -abs(item[1].interval.difference))
    most = dict(by_difference[:LOWEST])
    return [code for code in found.languages if code in most]


def _compared(row: Compared) -> list[str]:
    now = row.interval
    mark = " *" if row.shown else "  "
    return [
        f"{row.count:,}",
        f"{row.a:.1f}",
        f"{row.b:.1f}",
        signed(now.difference),
        f"{limits(now)}{mark}",
        probability(row.p),
    ]
