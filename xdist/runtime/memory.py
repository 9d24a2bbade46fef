"""Out of memory: which batch it was, and what to change."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from xdist.config import Run
from xdist.errors import RankError
from xdist.runtime import distributed
from xdist.tasks.batch import Batch


@contextmanager
def explained(run: Run, rank: int, number: int, batches: Callable[[int, int, int], Sequence[Batch]]) -> Iterator[None]:
    """Raises RankError where the block, which makes step `number`, runs out of memory; `batches(number, rank, world)` were its
    batches."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        raise RankError(out_of_memory(run, rank, number, batches(number, rank, distributed.world()))) from None


def out_of_memory(run: Run, rank: int, number: int, batches: Sequence[Batch]) -> str:
    packed = run.runtime.attention == "packed"
    largest = max(batches, key=lambda batch: len(batch.tokens) if packed else len(batch.lengths) * batch.width)
    sequences, longest = len(largest.lengths), largest.width
    remedies = [f"a smaller runtime.micro_batch_tokens (now {run.runtime.micro_batch_tokens})"]
    if run.model.gradient_checkpointing is not True:
        remedies.append("model.gradient_checkpointing=true")
    if run.runtime.precision == "fp32" or not (run.runtime.precision == "bf16" or distributed.has_bf16()):
        remedies.append("runtime.precision=bf16")
    remedies.append(f"another runtime.deepspeed (now {run.runtime.deepspeed}; zero2, zero3, zero3_offload need less)")
    return (
        f"rank {rank} ran out of memory in step {number}, whose largest micro-batch is {sequences} sequences of up to "
        f"{longest} tokens ('{largest.head}'); try {', '.join(remedies)}"
    )


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return any(text in str(error) for text in ("can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED"))
