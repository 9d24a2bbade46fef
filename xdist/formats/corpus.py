"""Running text as sources of any size: .txt, .jsonl, .tsv and .parquet, plain or .gz or .zst, local or at an fsspec address.

One process reads blocks of complete lines, which costs little; the process that gets a block decodes, cleans and checks it. In
.txt a line is a paragraph and a blank line ends a document (as in CC-100); in .jsonl and .parquet a record is a document and
its field `text` holds it; in .tsv a line is a document and its first column holds it. Parallel text has its second text in the
field `translation` or in the second column. A line that is longer than MAX_LINE bytes is no text and is left out.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, Literal

from xdist.errors import UserError, shown
from xdist.formats.bitext import kind_of_pairs, pairs
from xdist.formats.disguised import refuse_disguised
from xdist.formats.examples import Line
from xdist.formats.lines import field
from xdist.formats.parquet import DAMAGE, cells, opened_table, reason
from xdist.formats.sources import COMPRESSIONS, KINDS, source_file, source_stream
from xdist.strict_json import not_utf8, parsed

BLOCK = 4 << 20
MAX_LINE = 1 << 20

OnBad = Literal["fail", "skip"]
RawLine = tuple[str | bytes | None, ...]  # its texts; bytes where they are not UTF-8
# All control characters but the tab and the line feed.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Block:
    """Complete lines (`data` in bytes), or complete records (a text, or a pair of texts, each; None where there is none).
    Records that cannot be read are one block without any: how many, and why."""

    address: str
    line: int  # number of its first line or record, from 1
    offset: int  # of its first byte in the uncompressed source; 0 for records
    data: bytes | list[RawLine]
    over_long: int = 0  # lines left out just before it, which were longer than a block
    damaged: int = 0
    damage: str = ""


def kind_of(address: str, fields: tuple[str, ...] = ("text",)) -> str:
    """'txt', 'jsonl', 'tsv' or 'parquet', or of two fields one of the forms of OPUS. Raises UserError for another ending."""
    if len(fields) > 1 and (kind := kind_of_pairs(address)):
        return kind
    name, _, ending = address.rpartition(".")
    if ending in COMPRESSIONS:
        ending = name.rpartition(".")[2]
    if ending not in KINDS:
        raise UserError(f"{address}: not a source of text (ends in none of .{', .'.join(KINDS)}, plain or .gz or .zst)")
    return ending


def blocks(address: str, fields: tuple[str, ...], size: int = BLOCK) -> Iterator[Block]:
    """The blocks of a source, of about `size` bytes; the same ones each time. Raises UserError naming the source and the line
    before which it breaks off: no such source, a truncated or damaged stream, no such column."""
    kind = kind_of(address, fields)
    if kind not in KINDS or kind == "parquet":
        yield from _records(address, fields, size) if kind == "parquet" else _pairs(address, size)
        return
    line, offset, rest, over_long, inside = 1, 0, b"", 0, False
    with source_stream(address) as stream:
        while True:
            try:
                chunk = _read(stream, size)
            except (OSError, EOFError) as error:
                where = f"{address}:{line + rest.count(10)}"
                raise UserError(f"{where}: cannot be read after byte {offset + len(rest)}: {reason(error)}") from None
            if not offset:
                refuse_disguised(chunk, address)
            data = rest + chunk
            if inside:  # of a line that is longer than a block: over at its line feed or with the source
                end = data.find(b"\n") + 1
                inside = not end and bool(chunk)
                line, over_long = line + (not inside), over_long + (not inside)
                end = end or len(data)
                offset, data = offset + end, data[end:]
            end = data.rfind(b"\n") + 1 if chunk else len(data)
            if end or (over_long and not chunk):
                yield Block(address, line, offset, data[:end], over_long)
                over_long = 0
            line, offset, rest = line + data.count(10, 0, end), offset + end, data[end:]
            if len(rest) > size:
                offset, rest, inside = offset + len(rest), b"", True
            if not chunk:
                return


def lines(block: Block, fields: tuple[str, ...], counts: Counter[str], on_bad: OnBad = "fail") -> Iterator[Line]:
    """The clean lines of a block. `counts` are added to: lines, empty, over_long, control (characters taken out), bad.
    Raises UserError with source and line for bytes that are no UTF-8 and records without their fields, unless bad rows are
    skipped."""
    counts["over_long"] += block.over_long
    if block.damaged:
        if on_bad == "fail":
            raise UserError(f"{block.address}:{block.line}: damaged: {block.damage}")
        counts["lines"] += block.damaged
        counts["bad"] += block.damaged
    kind, new = kind_of(block.address, fields), True
    for number, raw, offset in _raw(block):
        counts["lines"] += 1
        if isinstance(raw, bytes) and len(raw) > MAX_LINE:
            counts["over_long"] += 1
            continue
        try:
            texts = _texts(raw, kind, fields, f"{block.address}:{number}", offset)
        except UserError:
            if on_bad == "fail":
                raise
            counts["bad"] += 1
            continue
        cleaned = [_CONTROL.subn("", text) for text in texts]
        counts["control"] += sum(removed for _, removed in cleaned)
        if len(cleaned) > 1:
            first, second = (text.strip() for text, _ in cleaned)
            if first and second:
                yield Line(number=number, text=first, new=True, translation=second)
            else:
                counts["empty"] += 1
            continue
        new = new or kind != "txt"
        for part in cleaned[0][0].split("\n"):
            if text := part.strip():
                yield Line(number=number, text=text, new=new)
                new = False
            else:
                counts["empty"] += 1
                new = new or kind == "txt"


def aligned(first: Path, second: Path) -> Iterator[Line]:
    """Two files of text, line i of one the translation of line i of the other: parallel text as it is mostly published.
    Raises UserError where one has more lines."""
    from xdist.formats.lines import read_lines

    second_lines = read_lines(second)
    number = 0
    for number, text in read_lines(first):
        _, translation = next(second_lines, (0, None))
        if translation is None:
            raise UserError(f"{second}: {number - 1} lines, but {first} has more: the files are not parallel")
        if text.strip() and translation.strip():
            yield Line(number=number, text=text.strip(), new=True, translation=translation.strip())
    if next(second_lines, None) is not None:
        raise UserError(f"{first}: {number} lines, but {second} has more: the files are not parallel")


def _raw(block: Block) -> Iterator[tuple[int, bytes | RawLine, int]]:
    """(number, line or record, byte offset) of each."""
    if isinstance(block.data, list):
        for number, record in enumerate(block.data, start=block.line):
            yield number, record, 0
        return
    offset = block.offset
    if not block.data:
        return
    for number, raw in enumerate(block.data.removesuffix(b"\n").split(b"\n"), start=block.line):
        yield number, raw.removeprefix(b"\xef\xbb\xbf") if offset == 0 else raw, offset
        offset += len(raw) + 1


def _texts(raw: Any, kind: str, fields: tuple[str, ...], where: str, offset: int) -> list[str]:
    if kind not in KINDS or kind == "parquet":
        for name, text in zip(fields, raw, strict=True):
            if not isinstance(text, str):
                what = "bytes that are not UTF-8" if isinstance(text, bytes) else "no text"
                raise UserError(f"{where}: column '{name}' holds {what}")
        return list(raw)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(not_utf8(where, raw[error.start], offset + error.start, "text")) from None
    if kind == "txt":
        return [text]
    if kind == "tsv":
        columns: list[str] = text.rstrip("\r").split("\t")
        if len(columns) < len(fields):
            raise UserError(f"{where}: expected {len(fields)} columns, found {len(columns)}: {shown(text)}")
        return columns[: len(fields)]
    if not text.strip():
        return [""] * len(fields)
    path, _, number = where.rpartition(":")
    record = parsed(text, path, number)
    return [field(record, name, str, where) for name in fields]


def _pairs(address: str, size: int) -> Iterator[Block]:
    """The blocks of parallel text of OPUS."""
    lines, first, weight = list[RawLine](), 1, 0
    for number, pair in pairs(address):
        if not lines:
            first = number
        lines.append(pair)
        weight += sum(map(len, filter(None, pair)))
        if weight >= size:
            yield Block(address, first, 0, lines)
            lines, weight = [], 0
    if lines:
        yield Block(address, first, 0, lines)


def _records(address: str, fields: tuple[str, ...], size: int) -> Iterator[Block]:
    """The blocks of a Parquet file. Where a page is damaged, the rest of its row group cannot be read."""
    row, group, alone = 0, 0, False  # the first row that has not been given, and its row group
    with source_file(address) as file, opened_table(file, f"{address}:1", fields) as table:
        ends = list(accumulate(table.metadata.row_group(number).num_rows for number in range(table.num_row_groups)))
        while group < len(ends):
            last = group if alone else len(ends) - 1
            skipped = row - (ends[group - 1] if group else 0)
            lines, weight = list[RawLine](), 0
            damage = ""
            try:
                for batch in table.iter_batches(256, list(range(group, last + 1)), list(fields)):
                    lines += list(zip(*(cells(batch.column(name)) for name in fields), strict=True))[skipped:]
                    skipped = max(0, skipped - batch.num_rows)
                    weight += batch.nbytes
                    if weight >= size:
                        yield Block(address, row + 1, 0, lines)
                        row, lines, weight = row + len(lines), [], 0
            except DAMAGE as error:
                damage = reason(error)
            if lines:
                yield Block(address, row + 1, 0, lines)
            row += len(lines)
            group = bisect_right(ends, row)
            if damage and alone:
                yield Block(address, row + 1, 0, [], damaged=ends[group] - row, damage=damage)
                row, group = ends[group], group + 1
            # A batch may hold rows of two row groups: that of the damage is read once more by itself.
            alone = bool(damage) and not alone


def _read(stream: IO[bytes], size: int) -> bytes:
    """`size` bytes, fewer only at the end: a stream may give less at a time."""
    parts: list[bytes] = []
    while size and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
