"""Checksums of prepared rows, and one shard's file as it is in memory, checked where it is read.

A shard is cut into blocks of rows, about BLOCK bytes each. The metadata of its file hold a checksum of each column of each
block (of a list column two: of the places where its lists begin, and of what is in them), so what is read at a start does not
grow with the corpus. A block is checked once, when a row of it is first needed: a disk or a copy that has changed a byte is
reported before anything is trained on it.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from xdist.errors import OwnError, UserError
from xdist.files import digest
from xdist.strict_json import parsed

BLOCK = 1 << 20
FOLDED, WIDTH = 32, 512  # stretches that are added to each other, and values of each
KEY = b"xdist.sums"

# Values of a column; of lists the values one after another, and where each begins.
StoredColumn = tuple[np.ndarray, np.ndarray | None]


def map_columns(batch: pa.RecordBatch) -> dict[str, StoredColumn]:
    """The columns of a batch, without a copy."""
    return {name: _numpy(batch.column(name)) for name in batch.schema.names}


def with_sums(batch: pa.RecordBatch) -> pa.RecordBatch:
    """`batch` with the checksums of its blocks among its metadata."""
    rows = max(1, batch.num_rows * BLOCK // max(BLOCK, batch.nbytes))
    blocks = [(low, min(low + rows, batch.num_rows)) for low in range(0, batch.num_rows, rows)]
    sums = {part.name: [part.sum(*block) for block in blocks] for part in _parts(map_columns(batch))}
    said = {"rows": rows, "sums": sums}
    return batch.replace_schema_metadata({KEY: json.dumps({**said, "digest": digest(said)})})


class MappedShard:
    """The rows of one file. `facts` is what the manifest says of it; files of earlier versions have no checksums, and are read
    as they are. What is wrong is an OwnError, since one rank alone may read this block."""

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.path = folder / str(facts["file"])
        try:
            batch = pa.ipc.open_file(pa.memory_map(str(self.path))).get_batch(0)
            batch.validate()
            self.columns = map_columns(batch)
            found = parsed((batch.schema.metadata or {}).get(KEY, b"{}"), self.path) if facts.get("summed") else {}
        except (OSError, pa.ArrowException, UserError, ValueError) as error:  # the last for names that are not UTF-8
            raise self._damaged("damaged or missing shard", str(error).splitlines()[0]) from None
        if batch.num_rows != facts["rows"]:
            raise self._damaged("damaged shard", f"{batch.num_rows} rows, not the {facts['rows']} that were written")
        if facts.get("summed") and (not isinstance(found, dict) or found.pop("digest", "") != digest(found)):
            raise self._damaged("damaged shard", "its checksums are not those that were written")
        self.block: int = found["rows"] if found else max(1, batch.num_rows)  # rows of a block
        self._count = batch.num_rows
        self._parts = {part.name: part for part in _parts(self.columns)}
        self._sums: dict[str, list[int]] = found["sums"] if found else {}
        if found and list(self._parts) != list(self._sums):
            raise self._damaged("damaged shard", f"its columns are {', '.join(self.columns)}")
        blocks = -(-self._count // self.block)  # rounded up: the last one may be shorter
        self.checked = bytearray(blocks) if found else bytearray(b"\1") * blocks  # by block: all its columns are as written
        self._seen = {name: bytearray(blocks) for name in self._sums}

    def length(self, number: int, name: str) -> int:
        """How long the list of one row is."""
        if not self.checked[number // self.block]:
            self._check(f"{name} begin", number // self.block)
        offsets = self.offsets(name)
        return int(offsets[number + 1] - offsets[number])

    def lengths(self, numbers: np.ndarray, name: str) -> np.ndarray:
        """How long the lists of these rows are."""
        blocks = numbers // self.block
        for block in np.unique(blocks[np.frombuffer(self.checked, np.uint8)[blocks] == 0]).tolist():
            self._check(f"{name} begin", block)
        offsets = self.offsets(name)
        lengths: np.ndarray = offsets[numbers + 1] - offsets[numbers]
        return lengths

    def offsets(self, name: str) -> np.ndarray:
        offsets = self.columns[name][1]
        assert offsets is not None, name
        return offsets

    def check(self, block: int) -> None:
        """Raises OwnError where a column of the block is not what was written."""
        for name in self._parts:
            self._check(name, block)
        self.checked[block] = 1

    def check_all(self, *names: str) -> None:
        """The same for all blocks; where `names` of parts are given (a column, or "tokens begin"), for these alone."""
        for block in (block for block, done in enumerate(self.checked) if not done):
            for name in names or self._parts:
                self._check(name, block)

    def _check(self, name: str, block: int) -> None:
        seen = self._seen[name]
        if seen[block]:
            return
        low, high = block * self.block, min((block + 1) * self.block, self._count)
        if self._parts[name].sum(low, high) != self._sums[name][block]:
            raise self._damaged("damaged shard", f"rows {low + 1} to {high} are not what was written")
        seen[block] = 1

    def _damaged(self, what: str, how: str) -> OwnError:
        return OwnError(f"{self.path}: {what} ({how}); remove {self.path.parent} and prepare again")


class _Part:
    """What a checksum is of: a column, or ("NAME begin") the places where the lists of a column begin."""

    def __init__(self, name: str, values: np.ndarray, offsets: np.ndarray | None, places: bool = False) -> None:
        self.name, self._places, self._offsets = name, places, offsets
        self._begin = zlib.crc32(f"{name} {values.dtype}".encode())
        self._words = values.view(f"u{values.itemsize}")
        self._bytes, self._size = self._words.data.cast("B") if len(values) else memoryview(b""), values.itemsize

    def sum(self, low: int, high: int) -> int:
        """The checksum of rows low to high - 1, which depends on the part's name and type too."""
        if self._offsets is not None:
            low, high = self._offsets.item(low), self._offsets.item(high)
        # Damaged places may be outside.
        high = min(high + self._places, len(self._words))
        low, total = max(0, min(low, high)), self._begin
        # A CRC of everything would cost a twentieth of making a batch. Stretches are added to each other first, word by word,
        # and their sum gets the CRC: one changed word always shows, other damage but by a chance of one to billions.
        if (added := (high - low) // (FOLDED * WIDTH) * (FOLDED * WIDTH)) > 0:
            stretches = self._words[low : low + added].reshape(-1, FOLDED, WIDTH)
            total = zlib.crc32(np.add.reduce(stretches, axis=1, dtype=stretches.dtype).data, total)
            low += added
        return zlib.crc32(self._bytes[low * self._size : high * self._size], total)


def _parts(columns: Mapping[str, StoredColumn]) -> Iterator[_Part]:
    for name, (values, offsets) in columns.items():
        # Where lists begin comes first: what is in them is found by it.
        if offsets is not None:
            yield _Part(f"{name} begin", offsets, None, places=True)
        yield _Part(name, values, offsets)


def _numpy(column: pa.Array) -> StoredColumn:
    if isinstance(column, pa.ListArray):
        return column.values.to_numpy(), column.offsets.to_numpy()
    return column.to_numpy(), None
