"""From official files to shards: each (task, split, language) once, found again by its fingerprint."""

import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from xdist.config import Run
from xdist.data.pairs import CELL_COLUMNS, PairShards, encode_cells
from xdist.data.pieces import Piece, evaluation_pieces, pool_pieces, selection_pieces, training_pieces
from xdist.data.shards import MANIFEST, Rows, Shards, write_shards
from xdist.data.tokenizer import tokenizer_digest
from xdist.errors import UserError
from xdist.files import digest, file_digest
from xdist.formats.corpus import source_digest
from xdist.tasks.catalog.task import pair
from xdist.tasks.family import COMMON_COLUMNS, family_of
from xdist.tasks.special_tokens import around_pair

# Raised whenever rows of the same files would come out otherwise.
ENCODING = 1


class Preparation:
    """The prepared sets of a run: where each lies, which are missing, and how to make them."""

    def __init__(self, run: Run, tokenizer: PreTrainedTokenizerBase, train: bool = True) -> None:
        self.run = run
        self.tokenizer = tokenizer
        self._tokenizer_digest = tokenizer_digest(tokenizer)
        scored = evaluation_pieces(run)
        pools = [piece for task in dict.fromkeys(piece.task for piece in scored) for piece in pool_pieces(task)]
        trained = training_pieces(run) + selection_pieces(run) if train else []
        self.pieces = list(dict.fromkeys(trained + scored + pools))
        # What is prepared for a piece: itself, or the two languages of a mixed pair, each of which serves many pairs.
        self._parts = {piece: parts(piece) for piece in self.pieces}
        self.folders = {part: self._folder(part) for part in dict.fromkeys(chain.from_iterable(self._parts.values()))}

    def missing(self) -> list[Piece]:
        return [part for part in self.folders if not (self.folders[part] / MANIFEST).is_file()]

    def make(self, piece: Piece) -> Shards:
        """Read, encode and write one piece. Raises UserError naming file and line of the first bad row."""
        task, family = piece.task, family_of(piece.task)
        facts = {"task": task.name, "split": piece.split, "language": piece.language}
        examples = (task.pairs_of or task).examples(self.run.data.root, piece.split, piece.language)
        if task.pairs_of:
            columns, rows = CELL_COLUMNS, encode_cells(examples, task, self.tokenizer)
        else:
            columns = {**COMMON_COLUMNS, **family.columns}
            rows = family.encode(examples, self.tokenizer, self._max_length(piece))
        write_shards(self.folders[piece], rows, pa.schema(list(columns.items())), facts)
        return Shards(self.folders[piece])

    def make_missing(self, on_piece: Callable[[Piece, Shards], None] | None = None) -> None:
        for piece in self.missing():
            shards = self.make(piece)
            if on_piece:
                on_piece(piece, shards)

    def make_share(self, rank: int, world: int) -> None:
        """Make the missing pieces that fall to this rank, then wait for the other ranks' by looking at the file system: no
        process group is needed, so none can time out."""
        for piece in list(self.folders)[rank::world]:
            if not (self.folders[piece] / MANIFEST).is_file():
                self.make(piece)
        while self.missing():
            time.sleep(0.2)

    def fingerprints(self, pieces: list[Piece]) -> dict[str, str]:
        """The fingerprint of each piece's data, by its name."""
        return {str(piece): self.folders[piece].name.rsplit("-", 1)[1] for piece in pieces}

    def shards(self, pieces: list[Piece]) -> Iterator[Rows]:
        needed = dict.fromkeys(chain.from_iterable(self._parts[piece] for piece in pieces))
        opened = {part: Shards(self.folders[part]) for part in needed}
        specials = around_pair(self.tokenizer)
        for piece in pieces:
            first, *second = (opened[part] for part in self._parts[piece])
            yield PairShards(first, second[0], specials, self._max_length(piece), str(piece)) if second else first

    def _max_length(self, piece: Piece) -> int:
        return self.run.data.max_length or piece.task.max_length

    def _folder(self, piece: Piece) -> Path:
        paths = (piece.task.pairs_of or piece.task).paths(self.run.data.root, piece.split, piece.language)
        sources = piece.task.sources(self.run.data.root, piece.split, piece.language) if piece.task.fields else []
        for path in paths:
            if not sources and not path.is_file():
                raise UserError(f"{path}: no such file ({piece})")
        fingerprint = digest(
            ENCODING,
            [source_digest(source) for source in sources] or [file_digest(path) for path in paths],
            self._tokenizer_digest,
            self._max_length(piece),
            piece.task.query_length,
            piece.task.labels,
        )
        return self.run.data.cache / f"{piece.task.name}-{piece.split}-{piece.language}-{fingerprint}"


def parts(piece: Piece) -> list[Piece]:
    """The pieces that are prepared for `piece`; those of a mixed pair have one language each."""
    if not piece.task.pairs_of:
        return [piece]
    return [Piece(piece.task, piece.split, code) for code in pair(piece.language)]
