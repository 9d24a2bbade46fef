"""Token rows in memory-mapped Arrow files, and a manifest that is written last: without it a set does not exist."""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from xdist.data.grouping import group_by_value
from xdist.data.histogram import count_pieces, read_histogram, write_histogram
from xdist.data.sums import MappedShard, StoredColumn, with_sums
from xdist.errors import UserError
from xdist.files import digest, file_digest, read_json, write_json, written

MANIFEST = "manifest.json"
KEPT = 1 << 20  # rows of a set, up to which their lengths are kept in memory once they are read: 4 MB
LENGTHS = 32  # rows are counted by length in steps of this many tokens


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
        lengths[-(-len(row["tokens"]) // LENGTHS) * LENGTHS] += 1  # rounded up to a multiple of LENGTHS
        cut_rows += row["cut"] > 0
    batch = pa.record_batch([_array(schema.field(column), values) for column, values in columns.items()], schema=schema)
    batch = with_sums(batch)
    with written(folder / name) as temporary:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
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
        "summed": True,
    }


def _lists(schema: pa.Schema, column: str) -> bool:
    return bool(pa.types.is_list(schema.field(column).type))


def _array(field: pa.Field, values: list[Any]) -> pa.Array:
    if not pa.types.is_list(field.type):
        return pa.array(values, field.type)
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(value) for value in values], out=offsets[1:])
    joined = np.concatenate(values) if values else np.zeros(0, field.type.value_type.to_pandas_dtype())
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(joined, field.type.value_type))


class Journal:
    """Which shards of a set are done, a line for each, so that an interrupted preparation resumes. Several parts of one
    preparation, on several machines, keep one each in the same folder; a line that a killed process left unfinished is none."""

    def __init__(self, folder: Path, part: tuple[int, int] = (1, 1)) -> None:
        self.folder = folder
        self.path = folder / f"journal-{part[0]}-of-{part[1]}.jsonl"
        self.done: dict[int, dict[str, Any]] = {}
        self.units: int | None = None
        for path in sorted(folder.glob("journal-*.jsonl")):
            for line in path.read_bytes().splitlines():
                with suppress(ValueError, KeyError, TypeError, RecursionError):
                    self._take(json.loads(line))

    def add(self, facts: dict[str, Any]) -> None:
        """A shard that is done, or {"units": n}, how many there are."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(facts) + "\n")  # begins a new line after one that was cut off
        self._take(facts)

    def finish(self, facts: dict[str, Any]) -> bool:
        """Write the manifest, with `facts` and the totals, if every shard is done; the journals have then served."""
        if self.units is None or not set(range(self.units)) <= set(self.done):
            return False
        shards = [self.done[number] for number in range(self.units)]
        totals = {key: sum(shard.get(key, 0) for shard in shards) for key in ("rows", "tokens", "cut", "cut_rows", "bytes")}
        nested = {key: _add_counts(shard.get(key, {}) for shard in shards) for key in ("lines", "lengths")}
        counted = {"histogram": write_histogram(self.folder, count_pieces(_tokens(self.folder, shard) for shard in shards))}
        write_manifest(self.folder, {**facts, **totals, **nested, **counted, "shards": shards})
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


def _tokens(folder: Path, facts: dict[str, Any]) -> np.ndarray:
    opened = MappedShard(folder, facts)
    opened.check_all("tokens")
    return opened.columns["tokens"][0]


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    write_json(folder / MANIFEST, {**manifest, "digest": digest(manifest)})


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a prepared set says itself. Raises UserError: not prepared, damaged."""
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = read_json(path)
        own = manifest.pop("digest", None)  # earlier versions wrote none
        whole = own is None or digest(manifest) == own
        kinds = {"file": str, "rows": int, "size": int, "sha256": str}
        counts = {key: sum(shard[key] for shard in manifest["shards"]) for key in ("rows", "tokens")}
        named = all(type(shard[key]) is kind for shard in manifest["shards"] for key, kind in kinds.items())
        if whole and named and counts == {key: manifest[key] for key in counts}:
            return manifest
        reason = "it is not what was written"
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder}: not prepared (no {MANIFEST}); run: xdist prepare RUN.yaml") from None
    except (OSError, UserError) as error:
        reason = str(error)
    except (KeyError, TypeError, AttributeError, RecursionError):
        reason = "it has not the form of one"
    raise UserError(f"{path}: damaged manifest ({reason}); remove {folder} and prepare again")


def _add_counts(counts: Iterable[dict[str, int]]) -> dict[str, int]:
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

    def lengths(self, numbers: np.ndarray) -> np.ndarray: ...

    def used(self) -> np.ndarray: ...


class Shards:
    """The rows of one prepared set, by number. Files are opened when a row of theirs is first needed, and each block of rows
    is checked when one of its rows is. Raises UserError: not prepared, a damaged manifest, file or block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        self._ends: list[int] = list(accumulate(shard["rows"] for shard in self.manifest["shards"]))
        self._open: dict[int, MappedShard] = {}
        self._read: set[int] = set()  # files whose lengths were requested

    def __len__(self) -> int:
        return int(self.manifest["rows"])

    def row(self, number: int) -> dict[str, Any]:
        """Row `number` as {column: value}; lists are read-only views of the mapped file."""
        shard = bisect_right(self._ends, number)
        local = number - (self._ends[shard - 1] if shard else 0)
        # Written out, since this is done for every row of every batch.
        opened = self._open.get(shard) or self._shard(shard)
        if not opened.checked[local // opened.block]:
            opened.check(local // opened.block)
        return {
            name: values[local] if offsets is None else values[offsets.item(local) : offsets.item(local + 1)]
            for name, (values, offsets) in opened.columns.items()
        }

    def column(self, name: str) -> np.ndarray:
        """A scalar column over all rows, or a list column, the lists one after another."""
        return self._joined([self._whole(shard, name)[0] for shard in range(len(self._ends))], np.int64)

    @cached_property
    def tokens(self) -> np.ndarray:
        """(rows,) tokens of each row."""
        return self._joined([np.diff(self._begins(shard, "tokens")) for shard in range(len(self._ends))], np.int32)

    @property
    def mean_tokens(self) -> float:
        """Tokens of a row in the mean, without opening a file."""
        return float(self.manifest["tokens"]) / max(1, len(self))

    def length(self, number: int) -> int:
        """Tokens of one row; opens its file only, so a large set is never read completely."""
        shard = bisect_right(self._ends, number)
        return self._shard(shard).length(number - (self._ends[shard - 1] if shard else 0), "tokens")

    def lengths(self, numbers: np.ndarray) -> np.ndarray:
        """Tokens of each of these rows; opens their files only."""
        if len(self) <= KEPT:
            found: np.ndarray = self._lengths[numbers]
            if len(self._read) < len(self._ends) and len(unknown := numbers[found < 0]):
                for shard in np.unique(np.searchsorted(self._ends, unknown, side="right")).tolist():
                    begins = self._begins(shard, "tokens")
                    self._lengths[self._ends[shard] - len(begins) + 1 : self._ends[shard]] = np.diff(begins)
                    self._read.add(shard)
                found = self._lengths[numbers]
            return found
        lengths = np.empty(len(numbers), np.int64)
        for shard, places in group_by_value(np.searchsorted(self._ends, numbers, side="right")):
            local = numbers[places] - (self._ends[shard - 1] if shard else 0)
            lengths[places] = (self._open.get(shard) or self._shard(shard)).lengths(local, "tokens")
        return lengths

    @cached_property
    def _lengths(self) -> np.ndarray:
        """(rows,) tokens of each row, in files that were requested them; elsewhere -1."""
        return np.full(len(self), -1, np.int32)

    def used(self) -> np.ndarray:
        """The sorted ids that occur in the rows."""
        counts = read_histogram(self.folder, self.manifest.get("histogram"))
        if counts is None:
            counts = count_pieces(self._whole(shard, "tokens")[0] for shard in range(len(self._ends)))
        return np.flatnonzero(counts)

    def verify(self) -> None:
        """Read every byte. Raises UserError for the first file that is not what was written."""
        for number, facts in enumerate(self.manifest["shards"]):
            path = self.folder / facts["file"]
            if not path.is_file() or file_digest(path) != facts["sha256"]:
                self._shard(number).check_all()  # says where, if rows are damaged
                what = "damaged shard (its bytes are not those that were written)"
                raise UserError(f"{path}: {what}; remove {self.folder} and prepare again")
        read_histogram(self.folder, self.manifest.get("histogram"))

    @staticmethod
    def _joined(parts: list[np.ndarray], kind: type) -> np.ndarray:
        return np.concatenate(parts) if parts else np.zeros(0, kind)

    def _whole(self, shard: int, name: str) -> StoredColumn:
        opened = self._shard(shard)
        opened.check_all(name)
        return opened.columns[name]

    def _begins(self, shard: int, name: str) -> np.ndarray:
        opened = self._shard(shard)
        opened.check_all(f"{name} begin")
        return opened.offsets(name)

    def _shard(self, number: int) -> MappedShard:
        if number not in self._open:
            self._open[number] = MappedShard(self.folder, self.manifest["shards"][number])
        return self._open[number]
