"""From official files to shards: each (task, split, language) once, found again by its fingerprint."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from xdist.config import Data
from xdist.config.data import Joining
from xdist.data.encoding import MakeShards, ShardJob, make_shard, units, workers
from xdist.data.pairs import PairShards
from xdist.data.shards import MANIFEST, Journal, Rows, Shards, read_manifest
from xdist.data.subset import ENCODING, Subset
from xdist.data.tokenizer import tokenizer_digest
from xdist.data.trees import Trees, check_tokenizer
from xdist.errors import UserError, own
from xdist.files import clear, digest, file_digest
from xdist.formats.bitext import files_of
from xdist.formats.corpus import OnBad
from xdist.formats.sources import source_digest
from xdist.tasks.given_words import joining_form
from xdist.tasks.special_tokens import around_pair

# Where bad lines are skipped, this many are accepted, or this share of all.
BAD_LINES, BAD_SHARE = 10, 0.01
ABANDONED = 3600.0  # seconds after which a half-made shard belongs to no process: another run may make the same set
OnShard = Callable[[Subset, dict[str, Any]], None]


class Preparation:
    """The prepared sets of `subsets` (each once, also where one is listed twice): where each is, which are missing, and how to
    make them. `data` says where the official files are and where prepared rows are kept, `trees` which dependency trees are
    next to them. Raises UserError for a file that is missing."""

    def __init__(
        self, subsets: Iterable[Subset], data: Data, tokenizer: PreTrainedTokenizerBase, trees: Trees | None = None
    ) -> None:
        self.data, self.trees = data, trees
        if trees:
            check_tokenizer(tokenizer)
        self.tokenizer = tokenizer
        self._tokenizer_digest = tokenizer_digest(tokenizer)
        self.subsets = list(dict.fromkeys(subsets))
        # What is prepared for a subset: itself, or the two languages of a mixed pair, each of which serves many pairs.
        self._parts = {subset: parts(subset) for subset in self.subsets}
        self.folders = {part: self._folder(part) for part in dict.fromkeys(chain.from_iterable(self._parts.values()))}

    def missing(self) -> list[Subset]:
        return [part for part in self.folders if not (self.folders[part] / MANIFEST).is_file()]

    def make(
        self,
        subset: Subset,
        made: MakeShards | None = None,
        part: tuple[int, int] = (1, 1),
        on_bad: OnBad = "fail",
        on_shard: OnShard | None = None,
    ) -> Shards | None:
        """Read, encode and write what is not done of one subset, or of its shards those of a part (from 1, of how many); None
        where other parts are still to come. Raises UserError naming file and line of the first bad row."""
        journal = Journal(self.folders[subset], part)
        number = list(self.folders).index(subset)  # so that small subsets do not all fall to the first part
        total = 0
        file = str((subset.task.pairs_of or subset.task).paths(self.data.root, subset.split, subset.language)[0])

        def jobs() -> Iterator[ShardJob]:
            nonlocal total
            for unit in units(subset, self.data.root):
                total += 1
                if unit.number not in journal.done and (unit.number + number) % part[1] == part[0] - 1:
                    yield ShardJob(
                        *(subset.task.name, self.data.tasks, subset.task.plugins),
                        *(subset.split, self._max_length(subset), on_bad),
                        *(self.folders[subset], unit),
                        file=file,
                        joining=self._joining(subset),
                        labels=subset.task.labels,
                        language=subset.language,
                        trees=self.trees,
                    )

        self.folders[subset].mkdir(parents=True, exist_ok=True)
        make = made or (lambda jobs: ((job, make_shard(job, self.tokenizer)) for job in jobs))
        for _, facts in make(jobs()):
            journal.add(facts)
            if on_shard:
                on_shard(subset, facts)
        journal.add({"units": total})
        return self.finish(subset, journal)

    def finish(self, subset: Subset, journal: Journal | None = None) -> Shards | None:
        """Write the manifest of a subset whose shards are all there. Raises UserError where too many lines were skipped."""
        journal = journal or Journal(self.folders[subset])
        bad = sum(shard.get("lines", {}).get("bad", 0) for shard in journal.done.values())
        lines = sum(shard.get("lines", {}).get("lines", 0) for shard in journal.done.values())
        if bad > max(BAD_LINES, BAD_SHARE * lines):
            raise UserError(f"{subset}: {bad} of {lines} lines cannot be read: more than {BAD_SHARE:.0%} are too many")
        facts = {"task": subset.task.name, "split": subset.split, "language": subset.language}
        facts["fingerprint"] = self.folders[subset].name.rsplit("-", 1)[1]
        if not journal.finish(facts):
            return None
        made = Shards(self.folders[subset])
        clear(made.folder, [shard["file"] for shard in made.manifest["shards"]], older=ABANDONED)
        return made

    def make_missing(
        self,
        on_subset: Callable[[Subset, Shards], None] | None = None,
        on_shard: OnShard | None = None,
        number: int = 1,
        part: tuple[int, int] = (1, 1),
        on_bad: OnBad = "fail",
    ) -> None:
        """Make what is missing with `number` workers; as `make`."""
        with workers(number, self.tokenizer) as made:
            for subset in self.missing():
                shards = self.make(subset, made, part, on_bad, on_shard)
                if on_subset and shards:
                    on_subset(subset, shards)

    def make_share(self, rank: int, world: int) -> None:
        """Make the missing subsets that fall to this rank, then wait for the other ranks' by looking at the file system: no
        process group is needed, so none can time out."""
        mine = list(self.folders)[rank::world]
        for subset in mine:
            if not (self.folders[subset] / MANIFEST).is_file():
                with own():
                    self.make(subset)
        with own():
            self.check(mine)
        while self.missing():
            time.sleep(0.2)

    def check(self, subsets: Sequence[Subset]) -> None:
        """Raises UserError for a damaged manifest, and for a set without a row: earlier versions prepared those, too."""
        for subset in subsets:
            folder = self.folders[subset]
            if (folder / MANIFEST).is_file() and not read_manifest(folder)["rows"]:
                paths = (subset.task.pairs_of or subset.task).paths(self.data.root, subset.split, subset.language)
                raise UserError(f"{paths[0]}: holds no example ({subset})")

    def fingerprints(self, subsets: Iterable[Subset]) -> dict[str, str]:
        """The fingerprint of each subset's data, by its name."""
        return {str(subset): self.folders[subset].name.rsplit("-", 1)[1] for subset in subsets}

    def shards(self, subsets: Sequence[Subset]) -> Iterator[Rows]:
        needed = dict.fromkeys(chain.from_iterable(self._parts[subset] for subset in subsets))
        opened = {part: Shards(self.folders[part]) for part in needed}
        specials = around_pair(self.tokenizer)
        for subset in subsets:
            first, *second = (opened[part] for part in self._parts[subset])
            yield PairShards(first, second[0], specials, self._max_length(subset), str(subset)) if second else first

    def _max_length(self, subset: Subset) -> int:
        return self.data.max_length or subset.task.max_length

    def _joining(self, subset: Subset) -> Joining:
        return subset.task.joining(self.data.words) or self.data.words

    def _folder(self, subset: Subset) -> Path:
        paths = (subset.task.pairs_of or subset.task).paths(self.data.root, subset.split, subset.language)
        sources = subset.task.sources(self.data.root, subset.split, subset.language) if subset.task.fields else []
        for path in paths:
            if not sources and not path.is_file():
                raise UserError(f"{path}: no such file ({subset})")
        fingerprint = digest(
            ENCODING,
            [source_digest(one) for source in sources for one in files_of(source)] or [file_digest(path) for path in paths],
            self._tokenizer_digest,
            self._max_length(subset),
            subset.task.form,
            *joining_form(subset.task, self.tokenizer, self.data.words),
            *(self.trees.form(subset) if self.trees else []),
        )
        return self.data.cache / f"{subset.task.name}-{subset.split}-{subset.language}-{fingerprint}"


def parts(subset: Subset) -> list[Subset]:
    """The subsets that are prepared for `subset`; those of a mixed pair have one language each."""
    return [Subset(subset.task, subset.split, code) for code in subset.task.parts(subset.language)]
