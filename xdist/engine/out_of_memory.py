"""Out of memory: which batch it was, and what to change."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from xdist.config import Model, Runtime
from xdist.errors import RankError
from xdist.run import distributed
from xdist.run.lacking import is_out_of_memory
from xdist.tasks.batch import Batch


@dataclass(frozen=True, slots=True)
class Advice:
    """What to change where memory does not suffice; `packed`: whether batches are held without padding."""

    packed: bool
    remedies: tuple[str, ...]


@contextmanager
def explained(advice: Advice, rank: int, number: int, batches: Callable[[int, int, int], Sequence[Batch]]) -> Iterator[None]:
    """Raises RankError where the block, which makes step `number`, runs out of memory; `batches(number, rank, world)` were its
    batches."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise RankError(out_of_memory(advice, rank, number, batches(number, rank, distributed.world()))) from None


def advice(model: Model, runtime: Runtime, bf16: bool) -> Advice:
    remedies = [f"a smaller runtime.micro_batch_tokens (now {runtime.micro_batch_tokens})"]
    if model.gradient_checkpointing is not True:
        remedies.append("model.gradient_checkpointing=true")
    if not bf16:
        remedies.append("runtime.precision=bf16")
    remedies.append(f"another runtime.deepspeed (now {runtime.deepspeed}; zero2, zero3, zero3_offload need less)")
    return Advice(runtime.attention == "packed", tuple(remedies))


def out_of_memory(advice: Advice, rank: int, number: int, batches: Sequence[Batch]) -> str:
    packed = advice.packed
    largest = max(batches, key=lambda batch: len(batch.tokens) if packed else len(batch.lengths) * batch.width)
    sequences, longest = len(largest.lengths), largest.width
    return (
        f"rank {rank} ran out of memory in step {number}, whose largest micro-batch is {sequences} sequences of up to "
        f"{longest} tokens ('{largest.head}'); try {', '.join(advice.remedies)}"
    )
