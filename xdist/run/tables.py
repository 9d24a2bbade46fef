"""Tables in a terminal or a pipe, all of one look: a line a row, columns side by side, never a name cut nor a word broken.

Where output is no terminal, a row is one line, however long. In a terminal that is too narrow, prose is broken between its
words, and then columns that do not fit go below the others, behind the first ones again.
"""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text
from rich.tree import Tree

GAP = 2  # blanks between columns
PROSE = 18  # the least width that prose is broken to

CellText = str | Text


class Table:
    """Columns by their headings: ">" before one puts its cells to the right, as numbers are read, "~" says that they are prose.
    The first `keys` columns say what a row is about. A column without any cell is not shown."""

    def __init__(self, *headings: str, keys: int = 1, title: str = "", note: str = "") -> None:
        self.headings = [Text(one.lstrip(">~"), style="bold") for one in headings]
        self._right = [one.startswith(">") for one in headings]
        self._prose = [one.startswith("~") for one in headings]
        self.keys, self.title, self.note = keys, title, note
        self.rows: list[list[Text]] = []
        self._after: set[int] = set()

    def row(self, *cells: CellText) -> None:
        """Raises ValueError where these are not as many as the columns."""
        if len(cells) != len(self.headings):
            raise ValueError(f"{len(cells)} cells for {len(self.headings)} columns")
        self.rows.append([cell if isinstance(cell, Text) else Text(cell) for cell in cells])

    def section(self) -> None:
        """A line between the rows above and below."""
        self._after.add(len(self.rows))

    def lines(self, width: int | None = None) -> Iterator[Text]:
        """For a terminal of `width` columns; None: as wide as they are."""
        if self.title:
            yield from _prose(self.title, width)
        shown = [n for n in range(len(self.headings)) if n < self.keys or any(row[n].plain.strip() for row in self.rows)]
        wide = {n: self._widest(n) for n in shown}
        if width is not None:
            self._squeeze(wide, width)
        for number, block in enumerate(self._blocks(wide, width)):
            if number:
                yield Text()
            yield from self._block(block, wide)
        if self.note:
            yield from _prose(self.note, width)

    def _widest(self, column: int) -> int:
        cells = [self.headings[column], *(row[column] for row in self.rows)]
        return max(cell_len(line) for cell in cells for line in cell.plain.split("\n"))

    def _squeeze(self, wide: dict[int, int], width: int) -> None:
        """Takes from the columns of prose what the terminal is too narrow for."""
        least = {n: self._least(n) for n in wide if self._prose[n]}
        more = sum(wide.values()) + GAP * (len(wide) - 1) - width
        while more > 0 and (able := [n for n in least if wide[n] > least[n]]):
            wide[max(able, key=lambda n: wide[n])] -= 1
            more -= 1

    def _least(self, column: int) -> int:
        words = [word for row in self.rows for word in row[column].plain.split()]
        return max(PROSE, cell_len(self.headings[column].plain), *map(cell_len, words), 0)

    def _blocks(self, wide: dict[int, int], width: int | None) -> Iterator[list[int]]:
        keys = [n for n in wide if n < self.keys]
        block, used = list(keys), sum(wide[n] + GAP for n in keys)
        for column in (n for n in wide if n not in keys):
            if width is not None and len(block) > len(keys) and used + wide[column] > width:
                yield block
                block, used = list(keys), sum(wide[n] + GAP for n in keys)
            block.append(column)
            used += wide[column] + GAP
        yield block

    def _block(self, columns: Sequence[int], wide: dict[int, int]) -> Iterator[Text]:
        rule = Text("─" * (sum(wide[n] for n in columns) + GAP * (len(columns) - 1)), style="dim")
        yield from self._row(self.headings, columns, wide)
        yield rule
        for number, row in enumerate(self.rows):
            if number and number in self._after:
                yield rule
            yield from self._row(row, columns, wide)

    def _row(self, cells: Sequence[Text], columns: Sequence[int], wide: dict[int, int]) -> Iterator[Text]:
        parts = {n: self._parts(cells[n], n, wide[n]) for n in columns}
        for height in range(max(map(len, parts.values()))):
            line = Text()
            for n in columns:
                part = parts[n][height] if height < len(parts[n]) else Text()
                blanks = " " * (wide[n] - cell_len(part.plain))
                line.append_text(Text.assemble(blanks, part) if self._right[n] else Text.assemble(part, blanks))
                line.append(" " * GAP)
            line.rstrip()
            yield line

    def _parts(self, cell: Text, column: int, width: int) -> list[Text]:
        lines: list[Text] = list(cell.split("\n")) if cell.plain else [Text()]
        if not self._prose[column]:
            return lines
        return [Text(part, style=cell.style) for line in lines for part in _broken(line.plain, width)]


def _broken(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and cell_len(f"{lines[-1]} {word}") > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".lstrip()
    return lines


def terminal_width(console: Console) -> int | None:
    """Its columns; None where it is no terminal, so that what reads it gets complete lines."""
    return console.width if console.is_terminal else None


def show(what: Table | str | Text, console: Console | None = None) -> None:
    """A table, or a text that the terminal may break between words; into anything else as it is."""
    console = console or Console()
    width = terminal_width(console)
    if isinstance(what, Table):
        lines = list(what.lines(width))
    else:
        text = Text(what) if isinstance(what, str) else what
        lines = [text] if width is None else list(_prose(text.plain, width, text.style))
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)


def show_tree(tree: Tree, console: Console) -> None:
    """A line a branch, which a terminal breaks between words where it is too narrow."""
    widest = 10_000 if terminal_width(console) is None else console.width
    for line in console.render_lines(tree, console.options.update(width=widest), pad=False):
        text = Text.assemble(*((part.text, part.style or "") for part in line))
        text.rstrip()
        console.print(text, soft_wrap=True, highlight=False)


def _prose(text: str, width: int | None, style: str | Style = "") -> Iterator[Text]:
    """Lines that a terminal of `width` columns holds, broken between words."""
    yield from (Text(part, style=style) for part in ([text] if width is None else _folded(text, width)))


def _folded(text: str, width: int) -> Iterator[str]:
    for line in text.split("\n"):
        yield from _broken(line, width) if cell_len(line) > width else [line]
