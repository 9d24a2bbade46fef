"""From a subset to its shards: one process reads units of complete lines or examples, any number of workers make a shard of
each.

Which unit a shard is made of depends on the source alone, so shards can be made in any order, by any number of processes, and
again after any interruption.
"""

import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from xdist.config.data import Joining
from xdist.data.pairs import CELL_COLUMNS, encode_cells
from xdist.data.shards import write_shard
from xdist.data.subset import Subset
from xdist.data.trees import COLUMNS as TREE_COLUMNS
from xdist.data.trees import Trees
from xdist.errors import UserError
from xdist.formats.corpus import Block, OnBad, blocks, lines
from xdist.plugins import pinned
from xdist.tasks.catalog import unchecked, with_labels
from xdist.tasks.family import COMMON_COLUMNS, ExampleError, Row, family_of

EXAMPLES_PER_SHARD = 4096


@dataclass(frozen=True, slots=True)
class Unit:
    """What one shard is made of: a block of text, or examples of which the first has the number `first`."""

    number: int
    content: Block | list[Any]
    first: int = 0


@dataclass(frozen=True, slots=True)
class ShardJob:
    """A unit and where its shard goes; tasks are named, since they cannot be sent to another process."""

    task: str
    described: Path | None
    plugins: tuple[str, ...]  # of the task: a process that was not forked has not imported them
    split: str
    max_length: int
    on_bad: OnBad
    folder: Path
    unit: Unit
    file: str = ""  # that it is of, for errors
    joining: Joining = "joined"
    labels: tuple[str, ...] = ()  # of a task whose description names none
    language: str = ""
    trees: Trees | None = None  # that are in addition to the tokens


def units(subset: Subset, root: Path) -> Iterator[Unit]:
    """The units of a subset, the same ones each time. Raises UserError naming file and line of what cannot be read."""
    entry = subset.task
    if entry.fields and (sources := entry.sources(root, subset.split, subset.language)):
        found = (block for source in sources for block in blocks(source, entry.fields))
        yield from (Unit(number, block) for number, block in enumerate(found))
        return
    examples = iter((entry.pairs_of or entry).examples(root, subset.split, subset.language))
    size = None if family_of(entry).whole else EXAMPLES_PER_SHARD
    first = 0
    for number in count():
        content = list(islice(examples, size))
        if not content:
            return
        yield Unit(number, content, first)
        first += len(content)


def schema_of(subset: Subset, trees: bool = False) -> pa.Schema:
    columns = CELL_COLUMNS if subset.task.pairs_of else {**COMMON_COLUMNS, **family_of(subset.task).columns}
    return pa.schema(list({**columns, **(TREE_COLUMNS if trees else {})}.items()))


def make_shard(job: ShardJob, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Encode a unit and write its shard; what the manifest says of it. Raises UserError as readers and `lines` do."""
    for plugin in job.plugins:
        pinned(plugin)
    entry = with_labels(unchecked(job.task, job.described, job.plugins), job.labels)
    subset, counts = Subset(entry, job.split, job.language), Counter[str]()
    content = job.unit.content
    size = 0
    if isinstance(content, Block):
        size = len(content.data) if isinstance(content.data, bytes) else 0
        examples: Iterable[Any] = lines(content, entry.fields, counts, job.on_bad)
    else:
        examples = content
    if entry.pairs_of:
        encoded: Iterator[Row] = encode_cells(examples, entry, tokenizer)
    else:
        family = family_of(entry)
        family.joining = job.joining
        encoded = family.encode(examples, tokenizer, job.max_length)
        if job.trees:
            assert not isinstance(content, Block)
            encoded = job.trees.add_trees(encoded, content, subset, tokenizer, job.max_length)
    rows = ({**row, "example": row["example"] + job.unit.first} for row in encoded)
    try:
        facts = write_shard(job.folder, job.unit.number, rows, schema_of(subset, job.trees is not None))
    except ExampleError as error:
        raise UserError(f"{job.file}: example {job.unit.first + error.number + 1}: {error}") from None
    return {**facts, "bytes": size, **({"lines": dict(counts)} if counts else {})}


_tokenizer: PreTrainedTokenizerBase | None = None  # a worker's


def _start(tokenizer: PreTrainedTokenizerBase) -> None:
    global _tokenizer
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # workers are processes already
    _tokenizer = tokenizer


def _work(job: ShardJob) -> dict[str, Any]:
    assert _tokenizer
    return make_shard(job, _tokenizer)


MakeShards = Callable[[Iterable[ShardJob]], Iterator[tuple[ShardJob, dict[str, Any]]]]


@contextmanager
def workers(number: int, tokenizer: PreTrainedTokenizerBase) -> Iterator[MakeShards]:
    """`made(jobs)` gives each job with its facts as it is done, at most two a worker in hand; in this process where `number` is
    1."""
    if number == 1:
        yield lambda jobs: ((job, make_shard(job, tokenizer)) for job in jobs)
        return
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(number, context, _start, (tokenizer,))

    def made(jobs: Iterable[ShardJob]) -> Iterator[tuple[ShardJob, dict[str, Any]]]:
        coming = iter(jobs)
        running: dict[Future[dict[str, Any]], ShardJob] = {}
        try:
            while True:
                for job in islice(coming, 2 * number - len(running)):
                    running[pool.submit(_work, job)] = job
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool:
            raise UserError("a worker of xdist prepare was killed, perhaps for memory; try fewer --workers") from None

    try:
        yield made
    finally:
        pool.shutdown(cancel_futures=True)
