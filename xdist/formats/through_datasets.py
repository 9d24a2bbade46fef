"""CSV, JSON lines and Parquet as the `datasets` library reads them: from local files, row after row, without a copy.

Its streams keep nothing on the disk, so no cache of it can become stale next to the prepared rows, and no hub is contacted.
What it says of a damaged file is logged and raised without a place; the caller finds the place with one of our readers.
"""

import glob
import logging
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

ROWS = 1000  # read at a time
LARGEST = 1 << 28  # bytes of JSON lines that are looked at together

TableRow = dict[str, Any]


def csv_rows(path: Path, names: Sequence[str], header: bool) -> Iterator[TableRow]:
    """The rows of a CSV whose columns have these names, each cell its unchanged text."""
    from datasets import Features, Value

    # All cells are texts: neither "NA" nor "null" means an empty cell, and 01 is not 1. Without `index_col` a first
    # row that is too long would make its first cell the name of the row.
    yield from _stream(
        "csv",
        path,
        features=Features({name: Value("string") for name in names}),
        keep_default_na=False,
        index_col=False,
        names=list(names),
        header=0 if header else None,
    )


def json_rows(path: Path) -> Iterator[TableRow]:
    """The objects of a file of JSON lines; none where the types that the library sees in them would change the data."""
    # In one piece, as far as that can be: of each piece by itself it says what type a key has. A text that looks like a date
    # is one to it, and a key of several types is text that it takes for JSON.
    size = min(max(path.stat().st_size, 1 << 20), LARGEST)
    yield from _stream(
        "json", path, {"timestamp", "date", "time"}, chunksize=size, on_mixed_types=None, parse_agent_traces=False
    )


def parquet_rows(path: Path, names: Sequence[str]) -> Iterator[TableRow]:
    """The rows of a Parquet file, of these of its columns."""
    yield from _stream("parquet", path, columns=list(names))


def _stream(
    kind: Literal["csv", "json", "parquet"], path: Path, refused: Collection[str] = (), **options: Any
) -> Iterator[TableRow]:
    """`refused`: what the names of types begin with that make a file none of the library's."""
    from datasets import load_dataset_builder

    with TemporaryDirectory() as place, _quiet():  # of a lock; else it would be in the home folder
        files = {"train": [glob.escape(str(path.absolute()))]}
        builder = load_dataset_builder(kind, data_files=files, cache_dir=place, **options)
        rows = builder.as_streaming_dataset(split="train")
        batches: Iterator[Mapping[str, list[Any]]] = rows.iter(ROWS)
        if any(f"Value('{name}" in repr(rows.features) for name in refused):
            return
    while True:
        with _quiet():
            batch = next(batches, None)
        if batch is None:
            return
        names = list(batch)
        yield from (dict(zip(names, values, strict=True)) for values in zip(*batch.values(), strict=True))


@contextmanager
def _quiet() -> Iterator[None]:
    """What the library logs and warns of becomes the error that it raises, or nothing; its streams are made without torch."""
    from datasets import config

    loggers = [logging.getLogger(f"datasets.packaged_modules.{kind}.{kind}") for kind in ("csv", "json", "parquet")]
    before, torch = [logger.disabled for logger in loggers], config.TORCH_AVAILABLE
    # Else a stream imports torch, which takes seconds of a command that only looks, for a number in memory that workers share.
    config.TORCH_AVAILABLE = False
    for logger in loggers:
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Length of header or names")
            yield
    finally:
        config.TORCH_AVAILABLE = torch
        for logger, was in zip(loggers, before, strict=True):
            logger.disabled = was
