"""Memory of one training rank, part by part, at the moment when it needs most.

What DeepSpeed 0.19.8 holds at each ZeRO stage was read in its source and measured tensor by tensor on two ranks
(tests/distributed/test_planned_memory.py). Beside what papers say: every stage from 1 on keeps a master copy in fp32 training
too; stage 1 in bf16 keeps whole fp32 gradients; stage 2 in fp32 keeps what earlier micro-batches summed up beside the newest,
and of a parameter that several ranks share the whole gradient; buckets have their full size however small the model.

What a forward pass keeps for the backward pass, of an encoder built as BERT is, with attention that keeps no probabilities: per
token and layer, in widths d of the encoder and inner widths f of its feed-forward layer, the input of query, key and value (d)
and these three (3 d), what attention gives (d), the input and output of the norm before the feed-forward layer (2 d), the inner
states before and after their nonlinearity (2 f), the input of the next norm (d): 8 d + 2 f, where norms come after (XLM-R) and
where they come before (XLM-R XL) alike. Further 8 bytes of statistics for each norm, 4 bytes a head for the softmax, and the
masks of dropout.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, fields
from itertools import accumulate

from xdist.estimate.shapes import Shape
from xdist.run.ds_config import Offload

REDUCED_AT_ONCE = 500_000_000  # elements of a reduction outside ZeRO's own buckets: stage 0, and stage 1 in bf16
SUB_GROUP = 1_000_000_000  # elements that stage 3 updates at once
LOGIT = 12  # bytes of one logit: its softmax in fp32, and the gradients of both sides of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a model is trained. `tokens` are those of one micro-batch on one rank, padding included where attention needs it;
    `logits` the outputs of its head; `trained_rows` the rows of the embedding that are trained, None: all. The others are in
    main memory, but for a table that is frozen as a whole, 0."""

    ranks: int = 1
    stage: int = 0
    bf16: bool = False
    tokens: int = 8192
    logits: int = 0
    tied: bool = False  # whether the head multiplies by the embedding, as language modelling does
    micro_batches: int = 1
    checkpointing: bool = False
    offload: Offload = "none"
    trained_rows: int | None = None
    bucket: int = 100_000_000
    live: int = 1_000_000_000  # parameters that stage 3 may hold gathered
    dropout: bool = True
    cpu: bool = False  # whether the ranks compute on CPUs, where a dropout mask is as large as what it masks

    @property
    def size(self) -> int:
        """Bytes of a parameter."""
        return 2 if self.bf16 else 4


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of each part on one rank's device."""

    parameters: float = 0
    gradients: float = 0
    optimizer: float = 0
    communication: float = 0
    activations: float = 0
    logits: float = 0

    @property
    def total(self) -> float:
        return sum(self.parts().values())

    def parts(self) -> dict[str, float]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def trained(shape: Shape, rows: int | None) -> int:
    """Parameters that are trained where only so many rows of the embedding are."""
    return shape.parameters - (shape.pieces - trained_rows(shape, rows)) * shape.width


def trained_rows(shape: Shape, rows: int | None) -> int:
    return shape.pieces if rows is None else min(rows, shape.pieces)


def moments(shape: Shape, setting: Setting) -> dict[str, Memory]:
    """The memory where the backward pass begins, where it ends, and while the optimizer steps."""
    count = trained(shape, setting.trained_rows)
    size, stage = setting.size, setting.stage
    whole = count if setting.trained_rows else shape.parameters
    part = count / setting.ranks
    touched = _touched(shape, setting)
    bucket = setting.bucket * size
    pieces = trained_rows(shape, setting.trained_rows) * shape.width
    tables = (pieces + shape.positions * shape.width) * size  # gradients of embeddings are dense, and whole for a moment
    largest = max(pieces, shape.positions * shape.width, shape.width * shape.inner)
    norm = 8 * min(part, largest if stage < 3 else largest / setting.ranks)  # summed in fp64, one gradient at a time
    several = setting.micro_batches > 1

    parameters, optimizer, gathered = float(size * whole), 12 * part, 0.0
    gradients: tuple[float, float, float]  # where a backward pass begins, where it ends, and in the step
    buckets: tuple[float, float, float]
    if stage == 0:
        optimizer = (12 if setting.bf16 else 8) * count
        gradients = (4 * count * several, 4 * count, 4 * count)
        buckets = (0, 0, 4 * min(count, REDUCED_AT_ONCE) * (setting.ranks > 1))
    elif stage == 1 and setting.bf16:
        gradients = (4 * count + 2 * count * several, 6 * count, 6 * count + 4 * part)
        buckets = (0, 0, 4 * min(count, REDUCED_AT_ONCE))
    elif stage == 1:
        gradients = (4 * count * several, 4 * count, 4 * count + 4 * touched)
        buckets = (0, bucket, bucket)
    elif stage == 2 and setting.bf16:
        gradients = (4 * part * several, 4 * part + tables, 4 * part + norm)
        buckets = (bucket, bucket, 0)
    elif stage == 2:
        gradients = (4 * touched * several, 4 * touched * (1 + several) + tables, 4 * touched + max(4 * part, norm))
        buckets = (bucket, bucket, 0)
    else:
        parameters, gathered = size * whole / setting.ranks, float(size * min(whole, max(setting.live, shape.embedding)))
        gradients = (4 * part, 4 * part + tables, 4 * part + max(4 * min(part, SUB_GROUP), norm))
        buckets = (bucket, bucket, bucket)
        if setting.offload != "none":
            optimizer, gradients = 0, (0, tables, 0)
        if setting.offload == "all":
            parameters = 0
    before, after, step = gradients
    if setting.tied:
        before += 4 * pieces  # the head's share of the embedding's gradient, in fp32, waits for the rest of it
    kept, transient = activations(shape, setting.tokens, size, setting.checkpointing, setting.dropout, setting.cpu)
    # The head's gradients are gone when those of the last layer come.
    logits = float(LOGIT * setting.logits)
    during = kept + max(0.0, transient - logits)
    return {
        "backward begins": Memory(parameters + gathered, before, optimizer, buckets[0], during, logits),
        "backward ends": Memory(parameters + gathered, after, optimizer, buckets[1], working(shape, setting.tokens, size)),
        "optimizer steps": Memory(parameters, step, optimizer, buckets[2]),
    }


def _touched(shape: Shape, setting: Setting) -> int:
    """Elements of the parameters that any of a rank's part belongs to: at stages 1 and 2 their gradients are kept whole, and
    the embedding of pieces reaches over the parts of many ranks."""
    width, inner = shape.width, shape.inner
    sizes = [trained_rows(shape, setting.trained_rows) * width, shape.positions * width]
    sizes += [width**2, width**2, width**2, width**2, width * inner, width * inner] * shape.layers
    ends = list(accumulate(sizes))
    part, largest = -(-ends[-1] // setting.ranks), 0
    for rank in range(setting.ranks):
        first, last = bisect_right(ends, rank * part), bisect_left(ends, min((rank + 1) * part, ends[-1]))
        largest = max(largest, sum(sizes[first : last + 1]))
    return largest + trained(shape, setting.trained_rows) - ends[-1]


def memory(shape: Shape, setting: Setting) -> Memory:
    """The memory at the moment when it is largest."""
    return moments(shape, setting)[worst(shape, setting)]


def worst(shape: Shape, setting: Setting) -> str:
    """The name of that moment."""
    found = moments(shape, setting)
    return max(found, key=lambda name: found[name].total)


def most(shape: Shape, setting: Setting) -> dict[str, float]:
    """The most that each part takes at any moment: together more than there ever is at once."""
    parts = [one.parts() for one in moments(shape, setting).values()]
    return {name: max(part[name] for part in parts) for name in parts[0]}


def host_memory(shape: Shape, setting: Setting, ranks: int) -> float:
    """Bytes that `ranks` ranks of one machine keep in its main memory, where something is offloaded."""
    if setting.offload == "none":
        return 0.0
    part = trained(shape, setting.trained_rows) / setting.ranks
    parameters = setting.size * shape.parameters / setting.ranks if setting.offload == "all" else 0
    return ranks * (20 * part + parameters)  # master copy, two moments, gradients summed up and gradients for the step


def state_on_disk(shape: Shape, setting: Setting) -> float:
    """Bytes of one checkpoint over all ranks: trained parameters, their master copy and two moments."""
    return (setting.size + (8 if setting.stage == 0 and not setting.bf16 else 12)) * trained(shape, setting.trained_rows)


def activations(
    shape: Shape, tokens: int, size: int, checkpointing: bool = False, dropout: bool = True, cpu: bool = False
) -> tuple[float, float]:
    """(bytes kept by a forward pass over `tokens`, bytes more where the backward pass begins); a value has `size` bytes."""
    mask = (size if cpu else 1) * dropout
    layer = size * (8 * shape.width + 2 * shape.inner) + 16 + 4 * shape.heads + 2 * mask * shape.width
    # The sum of the embeddings and its norm, three kinds of ids, where a token stands among all.
    rest = size * shape.width + mask * shape.width + 8 + 24 + 16
    again = size * shape.width * shape.layers if checkpointing else layer * shape.layers
    gradient = size * shape.inner
    return tokens * (again + rest), tokens * (gradient + (layer if checkpointing else 0))


def working(shape: Shape, tokens: int, size: int) -> float:
    """Bytes of the gradient that reaches the embedding, with a copy."""
    return 2.0 * tokens * size * shape.width
