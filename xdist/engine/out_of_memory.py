"""Out of memory: which batch it was, and what to change."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from xdist.config import Model, Runtime
from xdist.errors import RankError
from xdist.run import distributed
from xdist.run.ds_config import DeepSpeed
from xdist.run.lacking import is_out_of_memory
from xdist.tasks.batch import Batch


@dataclass(frozen=True, slots=True)
class Advice:
    """What to change where memory does not suffice; `packed`: whether batches are held without padding."""

    packed: bool
    remedies: tuple[str, ...]


@contextmanager
def explain_errors(
    advice: Advice, rank: int, number: int, batches: Callable[[int, int, int], Sequence[Batch]]
) -> Iterator[None]:
    """Raises RankError where the block, which makes step `number`, runs out of memory; `batches(number, rank, world)` were its
    batches."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise RankError(describe_error(advice, rank, number, batches(number, rank, distributed.world()))) from None


def memory_advice(model: Model, runtime: Runtime, config: DeepSpeed, tokens: int) -> Advice:
    """`tokens` of a micro-batch."""
    remedies = [f"a smaller runtime.micro_batch_tokens (now {tokens})"]
    if model.gradient_checkpointing is not True:
        remedies.append("model.gradient_checkpointing=true")
    if not config.half:
        remedies.append("runtime.precision=bf16")
    remedies.append(f"another runtime.deepspeed (now {config.name}; {files_needing_less(config)})")
    return Advice(runtime.attention == "packed", tuple(remedies))


def files_needing_less(config: DeepSpeed) -> str:
    """The shipped files that hold less on a GPU than this one."""
    names = ("zero2", "zero3", "zero3_offload")
    rest = names[names.index(config.name) + 1 :] if config.name in names else names
    return f"{', '.join(rest)} need{'s' * (len(rest) == 1)} less" if rest else "nothing needs less"


def describe_error(advice: Advice, rank: int, number: int, batches: Sequence[Batch]) -> str:
    packed = advice.packed
    largest = max(batches, key=lambda batch: len(batch.tokens) if packed else len(batch.lengths) * batch.width)
    sequences, longest = len(largest.lengths), largest.width
    return (
        f"rank {rank} ran out of memory in step {number}, whose largest micro-batch is {sequences} sequences of up to "
        f"{longest} tokens ('{largest.head}'); try {', '.join(advice.remedies)}"
    )
