"""From official files to shards: each (task, split, language) once, found again by its fingerprint."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from xdist.config import Data
from xdist.data.encoding import Job, Made, make_shard, units, workers
from xdist.data.pairs import PairShards
from xdist.data.pieces import ENCODING, Piece
from xdist.data.shards import MANIFEST, Journal, Rows, Shards
from xdist.data.tokenizer import tokenizer_digest
from xdist.errors import UserError, own
from xdist.files import digest, file_digest, read_json
from xdist.formats.corpus import OnBad, source_digest
from xdist.tasks.catalog.task import pair
from xdist.tasks.special_tokens import around_pair

# Where bad lines are skipped, so many are forgiven, or such a share of all.
BAD_LINES, BAD_SHARE = 10, 0.01
OnShard = Callable[[Piece, dict[str, Any]], None]


class Preparation:
    """The prepared sets of `pieces` (each once, whatever stands there twice): where each lies, which are missing, and how to
    make them. `data` says where the official files lie and where prepared rows are kept. Raises UserError for a file that is
    not there."""

    def __init__(self, pieces: Iterable[Piece], data: Data, tokenizer: PreTrainedTokenizerBase) -> None:
        self.data = data
        self.tokenizer = tokenizer
        self._tokenizer_digest = tokenizer_digest(tokenizer)
        self.pieces = list(dict.fromkeys(pieces))
        # What is prepared for a piece: itself, or the two languages of a mixed pair, each of which serves many pairs.
        self._parts = {piece: parts(piece) for piece in self.pieces}
        self.folders = {part: self._folder(part) for part in dict.fromkeys(chain.from_iterable(self._parts.values()))}

    def missing(self) -> list[Piece]:
        return [part for part in self.folders if not (self.folders[part] / MANIFEST).is_file()]

    def make(
        self,
        piece: Piece,
        made: Made | None = None,
        part: tuple[int, int] = (1, 1),
        on_bad: OnBad = "fail",
        on_shard: OnShard | None = None,
    ) -> Shards | None:
        """Read, encode and write what is not done of one piece, or of its shards those of a part (from 1, of how many); None
        where other parts are still to come. Raises UserError naming file and line of the first bad row."""
        journal = Journal(self.folders[piece], part)
        number = list(self.folders).index(piece)  # so that small pieces do not all fall to the first part
        total = 0

        def jobs() -> Iterator[Job]:
            nonlocal total
            for unit in units(piece, self.data.root):
                total += 1
                if unit.number not in journal.done and (unit.number + number) % part[1] == part[0] - 1:
                    yield Job(
                        *(piece.task.name, self.data.tasks, piece.task.plugins),
                        *(piece.split, self._max_length(piece), on_bad),
                        *(self.folders[piece], unit),
                    )

        self.folders[piece].mkdir(parents=True, exist_ok=True)
        make = made or (lambda jobs: ((job, make_shard(job, self.tokenizer)) for job in jobs))
        for _, facts in make(jobs()):
            journal.add(facts)
            if on_shard:
                on_shard(piece, facts)
        journal.add({"units": total})
        return self.finish(piece, journal)

    def finish(self, piece: Piece, journal: Journal | None = None) -> Shards | None:
        """Write the manifest of a piece whose shards are all there. Raises UserError where too many lines were skipped."""
        journal = journal or Journal(self.folders[piece])
        bad = sum(shard.get("lines", {}).get("bad", 0) for shard in journal.done.values())
        lines = sum(shard.get("lines", {}).get("lines", 0) for shard in journal.done.values())
        if bad > max(BAD_LINES, BAD_SHARE * lines):
            raise UserError(f"{piece}: {bad} of {lines} lines cannot be read: more than {BAD_SHARE:.0%} is no accident")
        facts = {"task": piece.task.name, "split": piece.split, "language": piece.language}
        facts["fingerprint"] = self.folders[piece].name.rsplit("-", 1)[1]
        return Shards(self.folders[piece]) if journal.finish(facts) else None

    def make_missing(
        self,
        on_piece: Callable[[Piece, Shards], None] | None = None,
        on_shard: OnShard | None = None,
        number: int = 1,
        part: tuple[int, int] = (1, 1),
        on_bad: OnBad = "fail",
    ) -> None:
        """Make what is missing with `number` workers; as `make`."""
        with workers(number, self.tokenizer) as made:
            for piece in self.missing():
                shards = self.make(piece, made, part, on_bad, on_shard)
                if on_piece and shards:
                    on_piece(piece, shards)

    def make_share(self, rank: int, world: int) -> None:
        """Make the missing pieces that fall to this rank, then wait for the other ranks' by looking at the file system: no
        process group is needed, so none can time out."""
        mine = list(self.folders)[rank::world]
        for piece in mine:
            if not (self.folders[piece] / MANIFEST).is_file():
                with own():
                    self.make(piece)
        with own():
            self.check(mine)
        while self.missing():
            time.sleep(0.2)

    def check(self, pieces: Sequence[Piece]) -> None:
        """Raises UserError for a set without a row: earlier versions prepared those, too."""
        for piece in pieces:
            manifest = self.folders[piece] / MANIFEST
            if manifest.is_file() and not read_json(manifest)["rows"]:
                paths = (piece.task.pairs_of or piece.task).paths(self.data.root, piece.split, piece.language)
                raise UserError(f"{paths[0]}: holds no example ({piece})")

    def fingerprints(self, pieces: Iterable[Piece]) -> dict[str, str]:
        """The fingerprint of each piece's data, by its name."""
        return {str(piece): self.folders[piece].name.rsplit("-", 1)[1] for piece in pieces}

    def shards(self, pieces: Sequence[Piece]) -> Iterator[Rows]:
        needed = dict.fromkeys(chain.from_iterable(self._parts[piece] for piece in pieces))
        opened = {part: Shards(self.folders[part]) for part in needed}
        specials = around_pair(self.tokenizer)
        for piece in pieces:
            first, *second = (opened[part] for part in self._parts[piece])
            yield PairShards(first, second[0], specials, self._max_length(piece), str(piece)) if second else first

    def _max_length(self, piece: Piece) -> int:
        return self.data.max_length or piece.task.max_length

    def _folder(self, piece: Piece) -> Path:
        paths = (piece.task.pairs_of or piece.task).paths(self.data.root, piece.split, piece.language)
        sources = piece.task.sources(self.data.root, piece.split, piece.language) if piece.task.fields else []
        for path in paths:
            if not sources and not path.is_file():
                raise UserError(f"{path}: no such file ({piece})")
        fingerprint = digest(
            ENCODING,
            [source_digest(source) for source in sources] or [file_digest(path) for path in paths],
            self._tokenizer_digest,
            self._max_length(piece),
            piece.task.form,
        )
        return self.data.cache / f"{piece.task.name}-{piece.split}-{piece.language}-{fingerprint}"


def parts(piece: Piece) -> list[Piece]:
    """The pieces that are prepared for `piece`; those of a mixed pair have one language each."""
    if not piece.task.pairs_of:
        return [piece]
    return [Piece(piece.task, piece.split, code) for code in pair(piece.language)]
