"""What of a run's result does not stand in its description: the content of the files that it reads, by their digests."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

from xdist.config import Run
from xdist.data.pieces import ENCODING, Piece, selection_pieces, training_pieces
from xdist.files import digest, file_digest, read_json, write_json
from xdist.model.finetuned import read_finetuned
from xdist.tasks.catalog import TASKS
from xdist.tasks.catalog.user import DEFAULT_METRICS

ABSENT = "absent"
# The files of a model folder that say what it computes.
MODEL_FILES = ("config.json", "tokenizer.json", "*.safetensors", "pytorch_model*.bin")


class Facts:
    """Digests of files, each computed once; with a `memory`, once for as long as size and time of change are the same."""

    def __init__(self, memory: Path | None = None) -> None:
        self._memory = memory
        self._digests: dict[str, list[Any]] = read_json(memory) if memory and memory.is_file() else {}
        self._known = len(self._digests)
        self._now: dict[Path, str] = {}
        self._pieces: dict[tuple[Path, int | None, Piece], str] = {}
        self._trainings: dict[Hashable, list[str]] = {}
        self._backbones: dict[str, str] = {}

    def file(self, path: Path) -> str:
        """The digest of a file's content, 'absent' where there is none."""
        if path not in self._now:
            self._now[path] = self._file(path)
        return self._now[path]

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
            folder = Path(name)
            files = sorted(path for pattern in MODEL_FILES for path in folder.glob(pattern)) if folder.is_dir() else []
            # Carried over; when it was not, the same files trained to another model.
            head = [found.kind] if files and (found := read_finetuned(name)) else []
            self._backbones[name] = digest([(path.name, self.file(path)) for path in files], *head) if files else name
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
        if self._memory and len(self._digests) != self._known:
            write_json(self._memory, self._digests)

    def _file(self, path: Path) -> str:
        try:
            status = path.stat()
        except OSError:
            return ABSENT
        name, stamp = str(path.resolve()), [status.st_size, status.st_mtime_ns]
        known = self._digests.get(name)
        if known is None or known[:2] != stamp:
            self._digests.pop(name, None)
            self._known = -1
            known = self._digests[name] = [*stamp, file_digest(path)]
        return known[2]


def _chosen_by(run: Run) -> list[str]:
    """What a model is chosen by on tasks of one's own that name a metric; that of the others never changes."""
    if not (run.train and run.train.select and run.train.select.by == "score"):
        return []
    tasks = dict.fromkeys(piece.task for piece in selection_pieces(run) if piece.task.name not in TASKS)
    return [f"{task.name} by {task.metric}" for task in tasks if task.metric != DEFAULT_METRICS.get(task.family)]
