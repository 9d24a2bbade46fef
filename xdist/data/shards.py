"""Token rows in memory-mapped Arrow files, and a manifest that is written last: without it a set does not exist."""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from xdist.data.histogram import count_pieces, read_histogram, write_histogram
from xdist.errors import UserError
from xdist.files import file_digest, read_json, write_json, written

MANIFEST = "manifest.json"
LENGTHS = 32  # rows are counted by length in steps of so many tokens


def write_shard(folder: Path, number: int, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> dict[str, Any]:
    """Write `rows` as shard `number` below `folder`; what the manifest says of it."""
    name = f"shard-{number:05d}.arrow"
    columns: dict[str, list[Any]] = {column: [] for column in schema.names}
    lengths: Counter[int] = Counter()
    cut_rows = 0
    for row in rows:
        for column, values in columns.items():
            value = row[column]
            values.append(
                np.asarray(value, schema.field(column).type.value_type.to_pandas_dtype()) if _lists(schema, column) else value
            )
        lengths[-(-len(row["tokens"]) // LENGTHS) * LENGTHS] += 1
        cut_rows += row["cut"] > 0
    batch = pa.record_batch([_array(schema.field(column), values) for column, values in columns.items()], schema=schema)
    with written(folder / name) as temporary:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(batch)
        digest, size = file_digest(temporary), temporary.stat().st_size
    return {
        "number": number,
        "file": name,
        "rows": batch.num_rows,
        "tokens": len(batch.column("tokens").values),
        "cut": int(sum(columns["cut"])),
        "cut_rows": cut_rows,
        "lengths": {str(length): lengths[length] for length in sorted(lengths)},
        "size": size,
        "sha256": digest,
    }


def _lists(schema: pa.Schema, column: str) -> bool:
    return pa.types.is_list(schema.field(column).type)


def _array(field: pa.Field, values: list[Any]) -> pa.Array:
    if not pa.types.is_list(field.type):
        return pa.array(values, field.type)
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(value) for value in values], out=offsets[1:])
    joined = np.concatenate(values) if values else np.zeros(0, field.type.value_type.to_pandas_dtype())
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(joined, field.type.value_type))


class Journal:
    """Which shards of a set are done, a line for each, so that an interrupted preparation goes on. Several parts of one
    preparation, on several machines, keep one each in the same folder; a line that a killed process left unfinished is none."""

    def __init__(self, folder: Path, part: tuple[int, int] = (1, 1)) -> None:
        self.folder = folder
        self.path = folder / f"journal-{part[0]}-of-{part[1]}.jsonl"
        self.done: dict[int, dict[str, Any]] = {}
        self.units: int | None = None
        for path in sorted(folder.glob("journal-*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError):
                    self._take(json.loads(line))

    def add(self, facts: dict[str, Any]) -> None:
        """A shard that is done, or {"units": n}, how many there are."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(facts) + "\n")  # begins a line of its own after one that was cut off
        self._take(facts)

    def finish(self, facts: dict[str, Any]) -> bool:
        """Write the manifest, with `facts` and the totals, if every shard is done; the journals have then served."""
        if self.units is None or not set(range(self.units)) <= set(self.done):
            return False
        shards = [self.done[number] for number in range(self.units)]
        totals = {key: sum(shard.get(key, 0) for shard in shards) for key in ("rows", "tokens", "cut", "cut_rows", "bytes")}
        nested = {key: _added(shard.get(key, {}) for shard in shards) for key in ("lines", "lengths")}
        write_histogram(self.folder, count_pieces(self.folder / shard["file"] for shard in shards))
        write_json(self.folder / MANIFEST, {**facts, **totals, **nested, "shards": shards})
        for path in self.folder.glob("journal-*.jsonl"):
            path.unlink(missing_ok=True)
        return True

    def _take(self, facts: dict[str, Any]) -> None:
        if "units" in facts:
            self.units = facts["units"]
            return
        file = self.folder / facts["file"]
        if file.is_file() and file.stat().st_size == facts["size"]:
            self.done[facts["number"]] = facts


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


class Rows(Protocol):
    """Prepared rows by number, as batches and families read them."""

    def __len__(self) -> int: ...

    def row(self, number: int) -> dict[str, Any]: ...

    def column(self, name: str) -> np.ndarray: ...

    @property
    def tokens(self) -> np.ndarray: ...

    @property
    def mean_tokens(self) -> float: ...

    def length(self, number: int) -> int: ...

    def used(self) -> np.ndarray: ...


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
            name: values[local] if offsets is None else values[offsets.item(local) : offsets.item(local + 1)]
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

    @property
    def mean_tokens(self) -> float:
        """Tokens of a row in the mean, without opening a file."""
        return self.manifest["tokens"] / max(1, len(self))

    def length(self, number: int) -> int:
        """Tokens of one row; opens its file only, so a large set is never looked at as a whole."""
        shard = bisect_right(self._ends, number)
        offsets = self._offsets(shard, "tokens")
        local = number - (self._ends[shard - 1] if shard else 0)
        return int(offsets[local + 1] - offsets[local])

    def used(self) -> np.ndarray:
        """The sorted ids that stand in the rows."""
        counts = read_histogram(self.folder)
        if counts is None:
            counts = count_pieces(self.folder / shard["file"] for shard in self.manifest["shards"])
        return np.flatnonzero(counts)

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
