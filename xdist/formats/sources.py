"""Where running text is: local paths or addresses that fsspec knows, and what distinguishes one state of a source from another.

Files and folders whose names begin with a dot (what notebooks, file managers and sync programs leave) are no sources.
"""

import os
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO

import pyarrow as pa
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from xdist.errors import UserError
from xdist.files import digest

KINDS = ("txt", "jsonl", "tsv", "parquet")
COMPRESSIONS = {"gz": "gzip", "zst": "zstd"}
# A larger file is not read completely to be distinguished from another: its size, its time or tag, and samples of it are.
DIGESTED_WHOLE = 16 << 20
SAMPLES = 16


def sources(root: Path, pattern: str, begins: Callable[[str, Collection[str]], bool] = lambda name, names: False) -> list[str]:
    """The sources at `pattern`, which is below `root` unless it is an address or absolute: one file, the file of that name with
    one of the endings, or all of a folder, in order; those too that `begins` takes, given a file and all of them. Empty where
    nothing exists."""
    place = pattern if "://" in pattern else str(root / pattern)
    try:
        files, path = locate_source(place)
        if files.isfile(path):
            return [files.unstrip_protocol(path) if "://" in pattern else path]
        if files.isdir(path):
            found = [name for name in files.find(path) if "/." not in name.removeprefix(path)]
        else:  # no pattern is made of the place: every sign in it is a letter
            folder = path.rpartition("/")[0]
            listed = files.ls(folder, detail=False) if files.isdir(folder) else []
            found = [name for name in listed if name.startswith(f"{path}.")]
    except (OSError, ValueError, ImportError) as error:  # the last where a protocol's library is not installed
        raise UserError(f"{place}: cannot be opened: {str(error).splitlines()[0]}") from None
    ending = re.compile(rf"\.({'|'.join(KINDS)})(\.({'|'.join(COMPRESSIONS)}))?$")
    names = sorted(name for name in found if ending.search(name) or begins(name, found))
    return [files.unstrip_protocol(name) if "://" in pattern else name for name in names]


def locate_source(address: str) -> tuple[AbstractFileSystem, str]:
    """The file system of an address or path, and the path there, absolute as file systems list it. Of a path no sign means
    anything but itself."""
    if "://" in address:
        files, path = url_to_fs(address)
        return files, path
    return LocalFileSystem(), os.path.abspath(address)


def source_file(address: str) -> IO[bytes]:
    """The file at an address. Raises UserError where there is none."""
    files, path = locate_source(address)
    try:
        file: IO[bytes] = files.open(path, "rb")
        return file
    except FileNotFoundError:
        raise UserError(f"{address}: no such file") from None
    except OSError as error:
        raise UserError(f"{address}: cannot be read: {str(error).splitlines()[0] if str(error) else error!r}") from None


def source_stream(address: str) -> IO[bytes]:
    """The same, unpacked. Raises UserError as `source_file`."""
    file = source_file(address)
    compression = COMPRESSIONS.get(address.rpartition(".")[2])
    stream: IO[bytes] = pa.CompressedInputStream(file, compression) if compression else file
    return stream


def source_exists(address: str) -> bool:
    """Whether a file exists."""
    files, path = locate_source(address)
    return bool(files.isfile(path))


def source_digest(address: str) -> str:
    """16 digits of a source's content; of a large one, of its size, its time or tag and samples of its content."""
    files, path = locate_source(address)
    info = files.info(path)
    size = info["size"] or 0
    with files.open(path, "rb") as file:
        if size <= DIGESTED_WHOLE:
            return digest(file.read().hex())
        parts = []
        for number in range(SAMPLES):  # 64 KB each, evenly from the beginning to the end
            file.seek(number * (size - (1 << 16)) // (SAMPLES - 1))
            parts.append(file.read(1 << 16).hex())
    stamp = next((str(info[key]) for key in ("ETag", "etag", "mtime", "LastModified", "updated") if info.get(key)), "")
    return digest(size, stamp, parts)
