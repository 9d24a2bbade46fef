"""What teachers output for the training rows: logits, computed once and kept as shards in addition to the prepared rows.

A shard holds this many consecutive rows, and which rows share a batch depends on the shard alone, so it is the same for any
rank makes it, and an interruption loses the shards that were on their way.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from xdist.config import Model as ModelSection
from xdist.data.batches import collate
from xdist.data.deal import split_by_budget
from xdist.data.fetched import model_digest
from xdist.data.prepare import Preparation
from xdist.data.shards import Rows
from xdist.data.subset import Subset
from xdist.data.tokenizer import load_tokenizer, tokenizer_digest
from xdist.errors import UserError
from xdist.evaluation.loading import load_for_evaluation
from xdist.files import Digests, digest, written
from xdist.model.model import Model
from xdist.run import distributed
from xdist.run.together import on_first
from xdist.tasks.batch import View
from xdist.tasks.family import family_of

log = logging.getLogger(__name__)
ROWS = 4096  # of a shard
FAMILY = "classification"


def teacher_logits(
    teachers: Sequence[ModelSection | None],
    subsets: Sequence[Subset],
    sets: Sequence[Rows],
    preparation: Preparation,
    budget: int,
) -> dict[int, np.ndarray]:
    """By the number of the subset the logits (rows, labels) of its teacher among `teachers`, for each that has one. Teachers
    are asked one after another, each of all its subsets. Raises UserError for a teacher with another tokenizer than the
    student's. Collective."""
    found: dict[int, np.ndarray] = {}
    for section in {teacher.backbone: teacher for teacher in teachers if teacher}.values():
        own = [teacher is not None and teacher.backbone == section.backbone for teacher in teachers]
        found |= _logits_of_teacher(section, own, subsets, sets, preparation, budget)
    return found


def _logits_of_teacher(
    section: ModelSection,
    own: Sequence[bool],
    subsets: Sequence[Subset],
    sets: Sequence[Rows],
    preparation: Preparation,
    budget: int,
) -> dict[int, np.ndarray]:
    """The same of one teacher, and of the subsets that are its `own`. Shards that are missing are shared among the ranks."""
    on_first(lambda: _check_tokenizer(section.backbone, preparation))
    model = model_digest(section.backbone, Digests())
    places: dict[int, Path] = {}
    for number, (subset, rows) in enumerate(zip(subsets, sets, strict=True)):
        if own[number] and subset.task.family == FAMILY:
            chosen = hashlib.sha256(np.ascontiguousarray(rows.column("example")).tobytes()).hexdigest()
            made = digest(model, preparation.fingerprints([subset]), chosen)
            places[number] = preparation.data.cache / f"teacher-{subset.task.name}-{subset.language}-{made}"
    missing = on_first(
        lambda: [
            (number, shard)
            for number, place in places.items()
            for shard in range(-(-len(sets[number]) // ROWS))  # rounded up
            if not _file(place, shard).is_file()
        ]
    )
    if missing:
        wanted = [subsets[number] for number in places]
        _make(section, wanted, subsets, sets, preparation, budget, missing, lambda number, shard: _file(places[number], shard))
    distributed.barrier()
    return {number: _read_logits(place, len(sets[number])) for number, place in places.items()}


def _check_tokenizer(place: str, preparation: Preparation) -> None:
    if tokenizer_digest(load_tokenizer(place)) != tokenizer_digest(preparation.tokenizer):
        raise UserError(f"train.distil: {place} has another tokenizer than the student, whose rows it has to read")


def _make(
    section: ModelSection,
    wanted: Sequence[Subset],
    subsets: Sequence[Subset],
    sets: Sequence[Rows],
    preparation: Preparation,
    budget: int,
    missing: Sequence[tuple[int, int]],
    file: Callable[[int, int], Path],
) -> None:
    model = load_for_evaluation(section, preparation.tokenizer, wanted, torch.float32).to(distributed.device())
    if distributed.rank() == 0:
        log.info("asking the teacher %s for %d shards", section.backbone, len(missing))
    for number, shard in missing[distributed.rank() :: distributed.world()]:
        rows = range(shard * ROWS, min((shard + 1) * ROWS, len(sets[number])))
        logits = _logits(model, subsets[number], sets[number], rows, budget)
        with written(file(number, shard)) as temporary, temporary.open("wb") as stream:
            np.save(stream, logits.numpy())


@torch.no_grad()
def _logits(model: Model, subset: Subset, sets: Rows, rows: range, budget: int) -> Tensor:
    """(rows, labels) fp32, on the CPU."""
    family, found = family_of(subset.task), torch.empty(len(rows), len(subset.task.labels))
    tokens = sets.tokens[rows.start : rows.stop]
    order = np.argsort(-tokens, kind="stable")
    for group in split_by_budget(order.tolist(), tokens, budget, model.packed):
        places = [int(place) for place in group]
        drawn = [sets.row(rows.start + place) for place in places]
        batch = collate(drawn, places, family, languages=[subset.read_as] * len(drawn)).to(distributed.device())
        (outputs,) = model(View(batch))
        found[places] = outputs.float().cpu()
    return found


def _file(place: Path, shard: int) -> Path:
    return place / f"shard-{shard:05}.npy"


def _read_logits(place: Path, rows: int) -> np.ndarray:
    shards = -(-rows // ROWS)  # rounded up
    parts = [np.load(_file(place, shard), allow_pickle=False) for shard in range(shards)]
    return np.concatenate(parts)
