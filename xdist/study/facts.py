"""What of a run's result does not stand in its description: the content of the files that it reads, by their digests."""

from collections.abc import Hashable
from pathlib import Path

from xdist.config import Run
from xdist.data.fetched import model_digest
from xdist.data.pieces import ENCODING, Piece, selection_pieces, training_pieces
from xdist.files import ABSENT, Digests, digest
from xdist.model.finetuned import read_finetuned
from xdist.tasks.catalog import TASKS
from xdist.tasks.catalog.user import DEFAULT_METRICS


class Facts:
    """`digests` of files, with a `memory` remembered from one start to the next."""

    def __init__(self, memory: Path | None = None) -> None:
        self.digests = Digests(memory)
        self._pieces: dict[tuple[Path, int | None, Piece], str] = {}
        self._trainings: dict[Hashable, list[str]] = {}
        self._backbones: dict[str, str] = {}

    def file(self, path: Path) -> str:
        """The digest of a file's content, 'absent' where there is none."""
        return self.digests.of(path)

    def piece(self, run: Run, piece: Piece) -> str:
        """The digest of the files of a piece and of how its rows are made; the tokenizer is the backbone's."""
        key = (run.data.root, run.data.max_length, piece)
        if key not in self._pieces:
            task = piece.task
            files = [self.file(path) for path in task.paths(run.data.root, piece.split, piece.language)]
            length = run.data.max_length or task.max_length
            self._pieces[key] = digest(ENCODING, str(piece), files, length, task.form)
        return self._pieces[key]

    def training(self, run: Run) -> list[str]:
        """Of everything that is trained on or chosen by. Raises UserError as `training_pieces` does."""
        # All that the pieces depend on: most runs of a study train on what another one trains on.
        key = run.train and (run.data, run.train.tasks, run.train.share, run.train.select)
        if key not in self._trainings:
            pieces = [self.piece(run, piece) for piece in training_pieces(run) + selection_pieces(run)]
            self._trainings[key] = [*pieces, *_chosen_by(run)]
        return self._trainings[key]

    def backbone(self, name: str) -> str:
        """A hub id as it is; of a folder the digest of its files."""
        if name not in self._backbones:
            # Carried over; when it was not, the same files trained to another model.
            head = [found.kind] if Path(name).is_dir() and (found := read_finetuned(name)) else []
            self._backbones[name] = model_digest(name, self.digests, *head)
        return self._backbones[name]

    def lists(self, run: Run) -> list[str]:
        """Of the files that its methods of robust training read."""
        return [self.file(path) for path in run.method_files]

    def missing(self, run: Run) -> list[Path]:
        """Training files that are not there."""
        paths = [
            path
            for piece in training_pieces(run) + selection_pieces(run)
            for path in piece.task.paths(run.data.root, piece.split, piece.language)
        ]
        return [path for path in dict.fromkeys([*paths, *run.method_files]) if self.file(path) == ABSENT]

    def remember(self) -> None:
        """Write the memory, if anything was learnt."""
        self.digests.remember()


def _chosen_by(run: Run) -> list[str]:
    """What a model is chosen by on tasks of one's own that name a metric; that of the others never changes."""
    if not (run.train and run.train.select and run.train.select.by == "score"):
        return []
    tasks = dict.fromkeys(piece.task for piece in selection_pieces(run) if piece.task.name not in TASKS)
    return [f"{task.name} by {task.metric}" for task in tasks if task.metric != DEFAULT_METRICS.get(task.family)]
