"""From official files to shards: each (task, split, language) once, found again by its fingerprint."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from xdist.config import Run
from xdist.data.pieces import Piece, evaluation_pieces, training_pieces
from xdist.data.shards import MANIFEST, Shards, write_shards
from xdist.data.tokenizer import tokenizer_digest
from xdist.errors import UserError
from xdist.files import digest, file_digest
from xdist.tasks.family import COMMON_COLUMNS, family_of

# Raised whenever rows of the same files would come out otherwise.
ENCODING = 1


class Preparation:
    """The prepared sets of a run: where each lies, which are missing, and how to make them."""

    def __init__(self, run: Run, tokenizer: PreTrainedTokenizerBase, train: bool = True) -> None:
        self.run = run
        self.tokenizer = tokenizer
        self._tokenizer_digest = tokenizer_digest(tokenizer)
        self.pieces = list(dict.fromkeys((training_pieces(run) if train else []) + evaluation_pieces(run)))
        self.folders = {piece: self._folder(piece) for piece in self.pieces}

    def missing(self) -> list[Piece]:
        return [piece for piece in self.pieces if not (self.folders[piece] / MANIFEST).is_file()]

    def make(self, piece: Piece) -> Shards:
        """Read, encode and write one piece. Raises UserError naming file and line of the first bad row."""
        family = family_of(piece.task)
        examples = piece.task.examples(self.run.data.root, piece.split, piece.language)
        schema = pa.schema(list({**COMMON_COLUMNS, **family.columns}.items()))
        facts = {"task": piece.task.name, "split": piece.split, "language": piece.language}
        rows = family.encode(examples, self.tokenizer, self._max_length(piece))
        write_shards(self.folders[piece], rows, schema, facts)
        return Shards(self.folders[piece])

    def make_missing(self, on_piece: Callable[[Piece, Shards], None] | None = None) -> None:
        for piece in self.missing():
            shards = self.make(piece)
            if on_piece:
                on_piece(piece, shards)

    def make_share(self, rank: int, world: int) -> None:
        """Make the missing pieces that fall to this rank, then wait for the other ranks' by looking at the file system: no
        process group is needed, so none can time out."""
        for piece in self.pieces[rank::world]:
            if not (self.folders[piece] / MANIFEST).is_file():
                self.make(piece)
        while self.missing():
            time.sleep(0.2)

    def fingerprints(self, pieces: list[Piece]) -> dict[str, str]:
        """The fingerprint of each piece's data, by its name."""
        return {str(piece): self.folders[piece].name.rsplit("-", 1)[1] for piece in pieces}

    def shards(self, pieces: list[Piece]) -> Iterator[Shards]:
        for piece in pieces:
            yield Shards(self.folders[piece])

    def _max_length(self, piece: Piece) -> int:
        return self.run.data.max_length or piece.task.max_length

    def _folder(self, piece: Piece) -> Path:
        paths = piece.task.paths(self.run.data.root, piece.split, piece.language)
        for path in paths:
            if not path.is_file():
                raise UserError(f"{path}: no such file ({piece})")
        fingerprint = digest(
            ENCODING,
            [file_digest(path) for path in paths],
            self._tokenizer_digest,
            self._max_length(piece),
            piece.task.labels,
        )
        return self.run.data.cache / f"{piece.task.name}-{piece.split}-{piece.language}-{fingerprint}"
