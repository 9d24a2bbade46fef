"""What a training rank holds, in bytes of live tensors, at each moment of a step."""

import torch
from distributed.cases import _training
from distributed.live_bytes import LiveBytes

from xdist.checkpoint.host import states_of
from xdist.model.vocabulary import ActiveEmbedding
from xdist.tasks.batch import Batch, View

LENGTH = 32  # of every sequence, so that nothing is padded


def held(path: str, overrides: list[str], tokens: list[int]) -> list[dict[str, int]]:
    """For each number of tokens, of three steps of two micro-batches each but the first: bytes before the second micro-batch,
    what its forward pass adds, and the largest number in its backward pass and in the step, each the least of two:
    gloo's threads hold a reduced bucket longer on a busy machine. With them the rows of the embedding that are trained."""
    live = LiveBytes()
    made = _training(path, overrides)
    engine, (head, family) = made.engine, next(iter(made.data.families.items()))

    embedding = engine.module.embedding
    rows = len(embedding.active) if isinstance(embedding, ActiveEmbedding) else 0
    known = embedding.active[4:] if rows else torch.arange(4, embedding.num_embeddings)

    def batch(sequences: int) -> Batch:
        rows = torch.arange(sequences)
        pieces = known[torch.randint(len(known), (sequences * LENGTH,))]
        return Batch(head, pieces, torch.full((sequences,), LENGTH), rows, rows, {"label": torch.zeros_like(rows)})

    resting = embedding.frozen if rows else None  # in main memory, which is all that a CPU's ranks have
    found = []
    with live:
        live.look()
        live.now -= resting.untyped_storage().nbytes() if resting is not None else 0
        for count in tokens:
            steps = []
            for _ in range(3):
                first, given = batch(count // LENGTH), batch(count // LENGTH)
                engine.backward(family.loss(engine(View(first))[0], first))
                before = live.settled()
                (output,) = engine(View(given))
                loss = family.loss(output, given)
                del output
                forward = live.now - before
                live.peak = live.now
                engine.backward(loss)
                del loss
                backward, live.peak = live.peak, live.now
                engine.step()
                steps.append({"before": before, "forward": forward, "backward": backward, "step": live.peak, "rows": rows})
            found.append({name: min(one[name] for one in steps[1:]) for name in steps[0]})
    states = states_of(engine)  # bytes that are copied for a save
    found = [{**one, "states": states} for one in found]
    engine.close()
    return found
