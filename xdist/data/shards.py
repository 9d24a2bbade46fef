"""Token rows in memory-mapped Arrow files, and a manifest that is written last: without it a set does not exist."""

from bisect import bisect_right
from collections.abc import Iterable
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from xdist.errors import UserError
from xdist.files import file_digest, read_json, write_json, written

MANIFEST = "manifest.json"
ROWS_PER_SHARD = 100_000


def write_shards(folder: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema, facts: dict[str, Any]) -> None:
    """Write `rows` as shards below `folder`, then the manifest: `facts`, counts, tokens cut, and each file's digest."""
    folder.mkdir(parents=True, exist_ok=True)
    source = iter(rows)
    shards: list[dict[str, Any]] = []
    while chunk := list(islice(source, ROWS_PER_SHARD)):
        name = f"shard-{len(shards):05d}.arrow"
        batch = pa.RecordBatch.from_pylist(chunk, schema=schema)
        with written(folder / name) as temporary, pa.OSFile(str(temporary), "wb") as sink:
            with pa.ipc.new_file(sink, schema) as writer:
                writer.write_batch(batch)
        shards.append(
            {
                "file": name,
                "rows": batch.num_rows,
                "tokens": sum(len(row["tokens"]) for row in chunk),
                "cut": sum(row["cut"] for row in chunk),
                "cut_rows": sum(row["cut"] > 0 for row in chunk),
                "sha256": file_digest(folder / name),
            }
        )
    totals = {key: sum(shard[key] for shard in shards) for key in ("rows", "tokens", "cut", "cut_rows")}
    write_json(folder / MANIFEST, {**facts, **totals, "shards": shards})


class Rows(Protocol):
    """Prepared rows by number, as batches and families read them."""

    def __len__(self) -> int: ...

    def row(self, number: int) -> dict[str, Any]: ...

    def column(self, name: str) -> np.ndarray: ...

    @property
    def tokens(self) -> np.ndarray: ...


class Shards:
    """The rows of one prepared set, by number. Files are opened when a row of theirs is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.manifest: dict[str, Any] = read_json(folder / MANIFEST)
        except FileNotFoundError:
            raise UserError(f"{folder}: not prepared (no {MANIFEST}); run: xdist prepare RUN.yaml") from None
        ends = np.cumsum([shard["rows"] for shard in self.manifest["shards"]])
        self._ends: list[int] = ends.tolist()
        self._open: dict[int, dict[str, tuple[np.ndarray, np.ndarray | None]]] = {}

    def __len__(self) -> int:
        return self.manifest["rows"]

    def row(self, number: int) -> dict[str, Any]:
        """Row `number` as {column: value}; lists are read-only views of the mapped file."""
        shard = bisect_right(self._ends, number)
        local = number - (self._ends[shard - 1] if shard else 0)
        return {
            name: values[local] if offsets is None else values[offsets[local] : offsets[local + 1]]
            for name, (values, offsets) in self._columns(shard).items()
        }

    def column(self, name: str) -> np.ndarray:
        """A scalar column over all rows."""
        parts = [self._columns(shard)[name][0] for shard in range(len(self._ends))]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    @cached_property
    def tokens(self) -> np.ndarray:
        """(rows,) tokens of each row."""
        parts = [np.diff(self._offsets(shard, "tokens")) for shard in range(len(self._ends))]
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)

    def list_column(self, name: str) -> np.ndarray:
        """A list column over all rows, the lists one after another."""
        parts = [self._columns(shard)[name][0] for shard in range(len(self._ends))]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def _offsets(self, shard: int, name: str) -> np.ndarray:
        offsets = self._columns(shard)[name][1]
        assert offsets is not None, name
        return offsets

    def _columns(self, shard: int) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
        if shard not in self._open:
            path = self.folder / self.manifest["shards"][shard]["file"]
            try:
                batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
            except (OSError, pa.ArrowInvalid) as error:
                raise UserError(f"{path}: damaged or missing shard ({error}); remove {self.folder} and prepare again") from None
            self._open[shard] = {name: _numpy(batch.column(name)) for name in batch.schema.names}
        return self._open[shard]


def _numpy(column: pa.Array) -> tuple[np.ndarray, np.ndarray | None]:
    if isinstance(column, pa.ListArray):
        return column.values.to_numpy(), column.offsets.to_numpy()
    return column.to_numpy(), None
