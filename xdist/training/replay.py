"""One step of a run again, exactly as it was, with the loss of each of its rows: for a step whose numbers were not finite."""

from pathlib import Path

import torch

from xdist.checkpoint import store, tags
from xdist.data.batches import collate, parts_of, row_id
from xdist.errors import UserError
from xdist.run import distributed
from xdist.tasks.batch import View
from xdist.training.loop import Training


def replay_step(training: Training, saved: Path, number: int) -> list[str]:
    """Resume from the newest checkpoint below `saved` at or before step `number` and make that step; writes nothing. Returns on
    rank 0 a line for the step and one for each of its rows: the loss before the step, without dropout and perturbation.
    Collective."""
    if number >= training.data.steps:
        raise UserError(f"--only-step {number}: the run has steps 0 to {training.data.steps - 1}")
    found = [tag for tag in tags.list_tags(saved) if tag.step <= number and tag.has_states and not tag.shrunken()]
    tag = distributed.agree(found[-1] if found else None)
    done = store.load_checkpoint(tag, training.engine, training.engine.stage)["step"] if tag else 0
    for earlier in range(done, number):
        training.step(earlier)
    rows = distributed.gather_on_first(_rows(training, number))
    loss = training.step(number).means()["train/loss"]
    training.engine.settle()
    start = f"checkpoint {tag.path.name}" if tag else "the backbone"
    lines = [f"step {number} from {start}: loss {loss:.6g}, gradient norm {training.engine.grad_norm:.6g}"]
    training.close()
    return lines + sorted(line for part in rows for line in part) if rows is not None else []


def _rows(training: Training, number: int) -> list[str]:
    """A line for each row that this rank has in the step. At ZeRO 3 every rank makes equally many forwards."""
    data, module = training.data, training.engine.module
    batches = data.step(number, training.rank, training.world)
    alone = []
    for batch in batches:
        if data.together[batch.head] == 1:  # elsewhere a row has no separate loss
            for source, row in map(parts_of, batch.row_ids.tolist()):
                drawn, languages = [data.shards[source].row(row)], [data.subsets[source].read_as]
                entry = collate(drawn, [row_id(source, row)], data.families[batch.head], languages=languages)
                alone.append((f"{data.subsets[source]} row {row}", entry, batch.dummy))
    lines = []
    module.eval()
    for index in range(max(distributed.every(len(alone)))):
        where, entry, dummy = alone[min(index, len(alone) - 1)] if alone else ("", batches[0], True)
        family, here = data.families[entry.head], entry.to(training.device)
        with torch.no_grad():
            (outputs,) = module(View(here))
            value = float(family.loss(outputs, here))
        if index < len(alone) and not dummy:
            count = family.count(entry)
            lines.append(f"{where}: loss {value / max(count, 1):.6g}, {len(entry.tokens)} tokens")
    module.train()
    return lines
