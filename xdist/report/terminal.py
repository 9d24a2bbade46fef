"""The scores as tables for a terminal of 100 columns; groups are named in text, so that no colour is needed."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from xdist.formats.gold import NO_GOLD, named
from xdist.languages import by_size
from xdist.report.comparison import Compared, Comparison
from xdist.report.scores import SMALL, SUMMARY, Column, ScoreTable, group_of, name_of, size_of

WIDTH = 100
STYLES = {"unseen": "red", "low": "yellow", "mid": "green", "high": "blue", "other": ""}
_FIXED = 37  # language, group and GiB with their spacing
_NARROW, _WIDE = 8, 16  # a column of scores without its spacing


def print_scores(scores: ScoreTable, console: Console) -> None:
    width = min(WIDTH, console.width)
    for table in tables(scores, width):
        console.print(table)
    for line in _legend(scores):
        console.print(Text(line, style="dim"), width=width)


def tables(scores: ScoreTable, wide: int = WIDTH) -> Iterator[Table]:
    """One table, or several below each other where the columns do not fit side by side into `wide` characters."""
    columns: list[Column] = []
    used = _FIXED
    for column in scores.columns:
        width = _width(scores, column) + 2
        if columns and used + width > wide:
            yield _table(scores, columns)
            columns, used = [], _FIXED
        columns.append(column)
        used += width
    yield _table(scores, columns)


def _table(scores: ScoreTable, columns: Sequence[Column]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
    table.add_column("language", max_width=20, no_wrap=True)
    table.add_column("group", no_wrap=True)
    table.add_column("GiB", justify="right", no_wrap=True)
    for column in columns:
        header = Text("\n".join(_header(scores, column)), justify="right")
        table.add_column(header, width=_width(scores, column), overflow="fold")
    for code in (code for code in scores.languages if any(code in column.languages for column in columns)):
        group = group_of(code)
        cells = [_cell(scores, column, code) for column in columns]
        name = Text(f"{name_of(code)} {code}" if name_of(code) != code else code)
        table.add_row(name, Text(group, STYLES[group]), size_of(code), *cells)
    table.add_section()
    for row in SUMMARY:
        means = [column.summary[row] for column in columns]
        if any(means):
            texts = [
                _aligned(scores, column, mean.score if mean else None) for column, mean in zip(columns, means, strict=True)
            ]
            table.add_row(Text(f"mean, {row}", STYLES.get(row, "bold")), "", "", *texts)
    return table


def _cell(scores: ScoreTable, column: Column, code: str) -> str:
    cell = column.cells.get(code)
    if cell is None:
        return _aligned(scores, column, None)
    marks = ("†" if cell.trained else "") + ("*" if cell.small and not column.all_small else "")
    return _aligned(scores, column, cell.score, marks)


def _aligned(scores: ScoreTable, column: Column, score: float | None, marks: str = "") -> str:
    """The number with room for two marks behind it, so that decimals stand below each other."""
    number = "–" if score is None else f"{score:.1f}"
    return number.rjust(_width(scores, column) - 2) + marks


def _header(scores: ScoreTable, column: Column) -> list[str]:
    small = "*" if column.all_small else ""
    return [column.task + small, column.metric, *([column.run] if len(scores.runs) > 1 else [])]


def _width(scores: ScoreTable, column: Column) -> int:
    return max(_NARROW, min(_WIDE, max(len(line) for line in _header(scores, column))))


def _legend(scores: ScoreTable) -> Iterator[str]:
    """Only what the tables above show."""
    yield from scores.remarks
    if any(cell.trained for column in scores.columns for cell in column.cells.values()):
        yield "† the task was trained on this language"
    if any(cell.small for column in scores.columns for cell in column.cells.values()):
        yield f"* fewer than {SMALL} test examples (beside a task: in every language)"
    yield from scores.unknown
    yield "GiB: the language's share of CC-100, on which XLM-R was pre-trained. Means count each language once."


def comparison_table(title: str, found: Comparison) -> Table:
    """A row per group, then per language: scores of A and B, A - B, its 95 % interval and the corrected p-value."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False, title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for header in ("examples", "A", "B", "A - B", "95 % interval", "p"):
        table.add_column(header, justify="right", no_wrap=True)
    for name, row in found.groups.items():
        table.add_row(Text(f"{name} ({row.over or row.languages})", STYLES.get(name, "bold")), *_compared(row))
    table.add_section()
    for code in by_size([*found.languages, *found.blank]):
        cells = _compared(found.languages[code]) if code in found.languages else ["–"] * 6
        table.add_row(Text(f"{name_of(code)} {code}" if name_of(code) != code else code), *cells)
    if found.blank:
        table.caption, table.caption_justify = f"{NO_GOLD}: {named(found.blank)}", "left"
    return table


def _compared(row: Compared) -> list[str]:
    now = row.interval
    mark = " *" if row.shown else "  "
    return [
        f"{row.count:,}",
        f"{row.a:.1f}",
        f"{row.b:.1f}",
        f"{now.difference:+.1f}",
        f"{now.low:+.1f} to {now.high:+.1f}{mark}",
        f"{row.p:.3f}",
    ]
