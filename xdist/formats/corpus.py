"""Running text as sources of any size: .txt, .jsonl, .tsv and .parquet, plain or .gz or .zst, local or at an fsspec address.

One process reads blocks of whole lines, which costs little; whoever gets a block decodes, cleans and checks it. In .txt a line
is a paragraph and a blank line ends a document (as in CC-100); in .jsonl and .parquet a record is a document and its field
`text` holds it; in .tsv a line is a document and its first column holds it. Parallel text has its second text in the field
`translation` or in the second column. A line that is longer than MAX_LINE bytes is no text and is left out.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from xdist.errors import UserError
from xdist.files import digest
from xdist.formats.examples import Line
from xdist.formats.lines import field, nearest

KINDS = ("txt", "jsonl", "tsv", "parquet")
COMPRESSIONS = {"gz": "gzip", "zst": "zstd"}
BLOCK = 4 << 20
MAX_LINE = 1 << 20
# A larger file is not read whole to be told from another: its size, its time or tag, and samples of it are.
DIGESTED_WHOLE = 16 << 20
SAMPLES = 16

OnBad = Literal["fail", "skip"]
# All control characters but the tab and the line feed.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines (`data` in bytes), or whole records (a text, or a pair of texts, each; None where there is none)."""

    address: str
    line: int  # number of its first line or record, from 1
    offset: int  # of its first byte in the uncompressed source; 0 for records
    data: bytes | list[tuple[str | None, ...]]
    over_long: int = 0  # lines left out just before it, which were longer than a block


def kind_of(address: str) -> str:
    """'txt', 'jsonl', 'tsv' or 'parquet'. Raises UserError for another ending."""
    name, _, ending = address.rpartition(".")
    if ending in COMPRESSIONS:
        ending = name.rpartition(".")[2]
    if ending not in KINDS:
        raise UserError(f"{address}: not a source of text (ends in none of .{', .'.join(KINDS)}, plain or .gz or .zst)")
    return ending


def sources(root: Path, pattern: str) -> list[str]:
    """The sources at `pattern`, which is below `root` unless it is an address or absolute: one file, the file of that name with
    one of the endings, or all of a folder, in order. Empty where nothing is there."""
    place = pattern if "://" in pattern else str(root / pattern)
    try:
        files, path = url_to_fs(place)
        if files.isfile(path):
            return [files.unstrip_protocol(path) if "://" in pattern else path]
        found = files.find(path) if files.isdir(path) else files.glob(f"{path}.*")
    except (OSError, ValueError, ImportError) as error:  # the last where a protocol's library is not installed
        raise UserError(f"{place}: cannot be looked at: {str(error).splitlines()[0]}") from None
    names = sorted(name for name in found if re.search(rf"\.({'|'.join(KINDS)})(\.({'|'.join(COMPRESSIONS)}))?$", name))
    return [files.unstrip_protocol(name) if "://" in pattern else name for name in names]


def source_digest(address: str) -> str:
    """16 digits of a source's content; of a large one, of its size, its time or tag and samples of its content."""
    files, path = url_to_fs(address)
    info = files.info(path)
    size = info["size"] or 0
    with files.open(path, "rb") as file:
        if size <= DIGESTED_WHOLE:
            return digest(file.read().hex())
        parts = []
        for number in range(SAMPLES):
            file.seek(number * (size - (1 << 16)) // (SAMPLES - 1))
            parts.append(file.read(1 << 16).hex())
    stamp = next((str(info[key]) for key in ("ETag", "etag", "mtime", "LastModified", "updated") if info.get(key)), "")
    return digest(size, stamp, parts)


def blocks(address: str, fields: tuple[str, ...], size: int = BLOCK) -> Iterator[Block]:
    """The blocks of a source, of about `size` bytes; the same ones each time. Raises UserError naming the source and the line
    before which it breaks off: no such source, a truncated or damaged stream, no such column."""
    if kind_of(address) == "parquet":
        yield from _records(address, fields, size)
        return
    line, offset, rest, over_long, inside = 1, 0, b"", 0, False
    with _opened(address) as stream:
        while True:
            try:
                chunk = _read(stream, size)
            except (OSError, EOFError) as error:
                reason = str(error).splitlines()[0]
                raise UserError(
                    f"{address}:{line + rest.count(10)}: cannot be read after byte {offset + len(rest)}: {reason}"
                ) from None
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
    kind, new = kind_of(block.address), True
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

    others = read_lines(second)
    number = 0
    for number, text in read_lines(first):
        _, translation = next(others, (0, None))
        if translation is None:
            raise UserError(f"{second}: {number - 1} lines, but {first} has more: the files are not parallel")
        if text.strip() and translation.strip():
            yield Line(number=number, text=text.strip(), new=True, translation=translation.strip())
    if next(others, None) is not None:
        raise UserError(f"{first}: {number} lines, but {second} has more: the files are not parallel")


def _raw(block: Block) -> Iterator[tuple[int, bytes | tuple[str | None, ...], int]]:
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
    if kind == "parquet":
        for name, text in zip(fields, raw, strict=True):
            if not isinstance(text, str):
                raise UserError(f"{where}: column '{name}' holds no text")
        return list(raw)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where}: not UTF-8: byte 0x{raw[error.start]:02x} at offset {offset + error.start} of the text"
        ) from None
    if kind == "txt":
        return [text]
    if kind == "tsv":
        cells: list[str] = text.rstrip("\r").split("\t")
        if len(cells) < len(fields):
            raise UserError(f"{where}: expected {len(fields)} columns, found {len(cells)}")
        return cells[: len(fields)]
    if not text.strip():
        return [""] * len(fields)
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
    return [field(record, name, str, where) for name in fields]


def _records(address: str, fields: tuple[str, ...], size: int) -> Iterator[Block]:
    line, held, weight = 1, [], 0
    with fsspec.open(address, "rb") as file:
        try:
            table = pq.ParquetFile(file)
            for name in fields:
                if name not in table.schema_arrow.names:
                    raise UserError(f"{address}: no column '{name}'{nearest(name, table.schema_arrow.names)}")
            for batch in table.iter_batches(batch_size=256, columns=list(fields)):
                held += list(zip(*(batch.column(name).to_pylist() for name in fields), strict=True))
                weight += batch.nbytes
                if weight >= size:
                    yield Block(address, line, 0, held)
                    line, held, weight = line + len(held), [], 0
        except (pa.ArrowInvalid, OSError) as error:
            row = line + len(held)
            raise UserError(f"{address}:{row}: not a Parquet file, or damaged: {str(error).splitlines()[0]}") from None
    if held:
        yield Block(address, line, 0, held)


def _opened(address: str) -> IO[bytes]:
    try:
        file = fsspec.open(address, "rb").open()
    except FileNotFoundError:
        raise UserError(f"{address}: no such file") from None
    compression = COMPRESSIONS.get(address.rpartition(".")[2])
    stream: IO[bytes] = pa.CompressedInputStream(file, compression) if compression else file
    return stream


def _read(stream: IO[bytes], size: int) -> bytes:
    """`size` bytes, fewer only at the end: a stream may give less at a time."""
    parts: list[bytes] = []
    while size and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
