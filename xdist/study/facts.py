"""What of a run's result is not in its description: the content of the files that it reads, by their digests."""

from collections.abc import Hashable, Iterable
from pathlib import Path

from xdist.config import Data, Run
from xdist.data.fetched import model_digest
from xdist.data.subset import ENCODING, Subset
from xdist.files import ABSENT, Digests, digest
from xdist.model.finetuned import read_finetuned
from xdist.resolve.resolved import Resolved
from xdist.resolve.subsets import Subsets


class Facts:
    """`digests` of files, with a `memory` remembered from one start to the next."""

    def __init__(self, memory: Path | None = None) -> None:
        self.digests = Digests(memory)
        self._digests: dict[Hashable, str] = {}
        self._subsets: dict[Hashable, Subsets] = {}
        self._backbones: dict[str, str] = {}

    def file(self, path: Path) -> str:
        """The digest of a file's content, 'absent' where there is none."""
        return self.digests.of(path)

    def resolved(self, run: Run) -> Resolved:
        """The run with what follows from it; most runs of a study name the same subsets as another one, found once."""
        train = (run.align, run.train and (run.train.tasks, run.train.share, run.train.select))
        model = None if run.train else (run.model, run.merge)  # whose heads say by which name tasks are scored
        return Resolved(run, self._subsets.setdefault((run.data, run.plugins, train, run.evaluate, model), Subsets(run)))

    def subset(self, data: Data, subset: Subset) -> str:
        """The digest of the files of a subset and of how its rows are made; the tokenizer is the backbone's."""
        key = (data.root, data.max_length, data.words, subset)
        if key not in self._digests:
            task = subset.task
            files = [self.file(path) for path in task.paths(data.root, subset.split, subset.language)]
            length = data.max_length or task.max_length
            joining = task.joining(data.words)
            others = [joining] if joining not in (None, "joined") else []  # the default does not make old results stale
            self._digests[key] = digest(ENCODING, str(subset), files, length, task.form, *others)
        return self._digests[key]

    def backbone(self, name: str) -> str:
        """A hub id as it is; of a folder the digest of its files."""
        if name not in self._backbones:
            # Carried over; when it was not, the same files trained to another model.
            head = [found.kind] if Path(name).is_dir() and (found := read_finetuned(name)) else []
            self._backbones[name] = model_digest(name, self.digests, *head)
        return self._backbones[name]

    def missing(self, paths: Iterable[Path]) -> list[Path]:
        """Those that are missing."""
        return [path for path in dict.fromkeys(paths) if self.file(path) == ABSENT]

    def remember(self) -> None:
        """Write the memory, if anything was learnt."""
        self.digests.remember()
