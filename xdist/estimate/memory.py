"""Memory of one training rank, part by part, at the moment when it needs most.

What DeepSpeed 0.19.8 holds at each ZeRO stage was read in its source and measured tensor by tensor on two ranks
(tests/distributed/test_planned_memory.py). In addition to what papers say: every stage from 1 on keeps a master copy in fp32
training too; stage 1 in bf16 keeps full fp32 gradients, and those of 16 bits until they are added; stage 2 in fp32 keeps what
earlier micro-batches summed up in addition to the newest, and of a parameter that several ranks share the full gradient;
buckets have their full size however small the model.

What a forward pass keeps for the backward pass, of an encoder built as BERT is, with attention that keeps no probabilities: per
token and layer, in widths d of the encoder and inner widths f of its feed-forward layer, the input of query, key and value (d)
and these three (3 d), what attention gives (d), the input and output of the norm before the feed-forward layer (2 d), the inner
states before and after their nonlinearity (2 f), the input of the next norm (d): 8 d + 2 f, where norms come after (XLM-R) and
where they come before (XLM-R XL), too. Further 8 bytes of statistics for each norm, 4 bytes a head for the softmax, and the
masks of dropout.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, fields
from itertools import accumulate

from xdist.estimate.shapes import Shape
from xdist.run.ds_config import Offload

REDUCED_AT_ONCE = 500_000_000  # elements of a reduction outside ZeRO's own buckets: stage 0, and stage 1 in bf16
SUB_GROUP = 1_000_000_000  # elements that stage 3 updates at once
IDS = 24  # bytes of what stands of each token in a batch: three numbers, of all micro-batches until the step is made
LOGIT = 12  # bytes of one logit: its softmax in fp32, and the gradients of both sides of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a model is trained. `tokens` are those of one micro-batch on one rank, padding included where attention needs it;
    `logits` the outputs of its head; `trained_rows` the rows of the embedding that are trained, None: all. The others are in
    main memory, except for a table that is completely frozen, 0. `adapted`: parameters of the adapters that are trained instead
    of the encoder, None: it is trained itself; `added`: parameters that are trained in addition to it; `beside`: values that
    either keeps of each token for the backward pass.
    `frozen_layers`: this many of the lowest layers keep nothing for a backward pass, and the embeddings are frozen with them.
    `anchor`: whether a frozen copy of the encoder is held next to it. `teacher`: parameters of a model that is asked before
    training begins, complete on each rank, in fp32."""

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
    adapted: int | None = None
    added: int = 0
    beside: int = 0
    frozen_layers: int = 0
    anchor: bool = False
    teacher: int = 0
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


def count_trained(shape: Shape, rows: int | None, adapted: int | None = None, frozen_layers: int = 0) -> int:
    """Parameters that are trained where only this many rows of the embedding are, or this many `adapted` ones instead of all;
    without those of the `frozen_layers` and, where there are such, of all embeddings."""
    if adapted is not None:
        return adapted
    if frozen_layers:
        beside = shape.parameters - shape.embedding - shape.positions * shape.width
        return max(0, beside - frozen_layers * shape.layer)
    return shape.parameters - (shape.pieces - trained_rows(shape, rows)) * shape.width


def trained_in(shape: Shape, setting: Setting) -> int:
    """The same as a setting says it."""
    return count_trained(shape, setting.trained_rows, setting.adapted, setting.frozen_layers) + setting.added


def trained_rows(shape: Shape, rows: int | None) -> int:
    return shape.pieces if rows is None else min(rows, shape.pieces)


def moments(shape: Shape, setting: Setting) -> dict[str, Memory]:
    """The memory where the backward pass begins, where it ends, and while the optimizer steps."""
    count = trained_in(shape, setting)
    size, stage = setting.size, setting.stage
    whole = count if setting.trained_rows else shape.parameters + setting.added
    if setting.adapted is not None:
        whole = shape.parameters + setting.adapted
    part = count / setting.ranks
    touched = _touched(shape, setting)
    bucket = setting.bucket * size
    pieces = trained_rows(shape, setting.trained_rows) * shape.width
    tables = (pieces + shape.positions * shape.width) * size  # gradients of embeddings are dense, and complete for a moment
    largest = max(pieces, shape.positions * shape.width, shape.width * shape.inner)
    if setting.frozen_layers:
        tables, largest = 0, shape.width * shape.inner
    if setting.adapted is not None:
        tables, largest = 0, count
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
        gradients = (4 * count, 6 * count, 4 * count + 4 * part)
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
        again = count if setting.frozen_layers else whole  # what the backward pass needs too; the rest is released before it
        parameters, gathered = size * whole / setting.ranks, float(size * min(again, max(setting.live, shape.embedding)))
        gradients = (4 * part, 4 * part + tables, 4 * part + max(4 * min(part, SUB_GROUP), norm))
        buckets = (bucket, bucket, bucket)
        if setting.offload != "none":
            optimizer, gradients = 0, (0, tables, 0)
        if setting.offload == "all":
            parameters = 0
    before, after, step = gradients
    if setting.tied:
        before += 4 * pieces  # the head's share of the embedding's gradient, in fp32, waits for the rest of it
    if setting.anchor:
        parameters += size * shape.parameters / (setting.ranks if stage == 3 else 1)
    how = (setting.checkpointing, setting.dropout, setting.cpu, setting.frozen_layers)
    kept, transient = activations(shape, setting.tokens, size, *how)
    kept += 0 if setting.checkpointing else setting.tokens * size * setting.beside
    # The head's gradients are gone when those of the last layer come.
    logits = float(LOGIT * setting.logits)
    during = kept + max(0.0, transient - logits)
    teacher = {"teacher is computed": Memory(4.0 * setting.teacher)} if setting.teacher else {}
    return {
        "backward begins": Memory(parameters + gathered, before, optimizer, buckets[0], during, logits),
        "backward ends": Memory(
            parameters + gathered, after, optimizer, buckets[1], working_bytes(shape, setting.tokens, size)
        ),
        "optimizer steps": Memory(parameters, step, optimizer, buckets[2], float(IDS * setting.tokens * setting.micro_batches)),
        **teacher,
    }


def _touched(shape: Shape, setting: Setting) -> int:
    """Elements of the parameters that any of a rank's part belongs to: at stages 1 and 2 their gradients are kept in full, and
    the embedding of pieces reaches over the parts of many ranks."""
    if setting.adapted is not None:  # an equal part, rounded up; of many small ones at most two are on the border of a part
        return min(setting.adapted, -(-setting.adapted // setting.ranks) + 2 * shape.width)
    width, inner = shape.width, shape.inner
    tables = [trained_rows(shape, setting.trained_rows) * width, shape.positions * width]
    sizes = [] if setting.frozen_layers else tables
    sizes += [width**2, width**2, width**2, width**2, width * inner, width * inner] * (shape.layers - setting.frozen_layers)
    if not sizes:  # heads alone
        return trained_in(shape, setting)
    ends = list(accumulate(sizes))
    part, largest = -(-ends[-1] // setting.ranks), 0  # an equal part of a rank, rounded up
    for rank in range(setting.ranks):
        first, last = bisect_right(ends, rank * part), bisect_left(ends, min((rank + 1) * part, ends[-1]))
        largest = max(largest, sum(sizes[first : last + 1]))
    return largest + trained_in(shape, setting) - ends[-1]


def memory(shape: Shape, setting: Setting) -> Memory:
    """The memory at the moment when it is largest."""
    return moments(shape, setting)[worst_moment(shape, setting)]


def worst_moment(shape: Shape, setting: Setting) -> str:
    """The name of that moment."""
    by_moment = moments(shape, setting)
    return max(by_moment, key=lambda name: by_moment[name].total)


def largest_parts(shape: Shape, setting: Setting) -> dict[str, float]:
    """The most that each part takes at any moment: together more than there ever is at once."""
    parts = [moment.parts() for moment in moments(shape, setting).values()]
    return {name: max(part[name] for part in parts) for name in parts[0]}


def host_memory(shape: Shape, setting: Setting, ranks: int) -> float:
    """Bytes that `ranks` ranks of one machine keep in its main memory, where something is offloaded."""
    if setting.offload == "none":
        return 0.0
    part = trained_in(shape, setting) / setting.ranks
    parameters = setting.size * shape.parameters / setting.ranks if setting.offload == "all" else 0
    return ranks * (20 * part + parameters)  # master copy, two moments, gradients summed up and gradients for the step


def copied_memory(shape: Shape, setting: Setting, ranks: int) -> float:
    """Bytes of the copies of states that the `ranks` ranks of one machine keep in its main memory where they are written while
    training continues (`runtime.save: async`): of the machine of rank 0, which writes what all ranks have."""
    complete = state_on_disk(shape, setting)
    if setting.stage == 0:
        return complete
    states = 12 * trained_in(shape, setting)
    return complete - states + states * ranks / setting.ranks


def state_on_disk(shape: Shape, setting: Setting) -> float:
    """Bytes of one checkpoint over all ranks: trained parameters, but at ZeRO 3, where the master copy does for them; the
    master copy and two moments."""
    parameters = setting.size if setting.stage < 3 else 0
    return (parameters + (8 if setting.stage == 0 and not setting.bf16 else 12)) * trained_in(shape, setting)


def activations(
    shape: Shape,
    tokens: int,
    size: int,
    checkpointing: bool = False,
    dropout: bool = True,
    cpu: bool = False,
    frozen_layers: int = 0,
) -> tuple[float, float]:
    """(bytes kept by a forward pass over `tokens`, bytes more where the backward pass begins); a value has `size` bytes."""
    mask = (size if cpu else 1) * dropout
    layer = size * (8 * shape.width + 2 * shape.inner) + 16 + 4 * shape.heads + 2 * mask * shape.width
    # The sum of the embeddings and its norm, three kinds of ids, the position of a token among all.
    rest = size * shape.width + mask * shape.width + 8 + IDS + 16
    layers = shape.layers - frozen_layers
    rest *= not frozen_layers
    again = size * shape.width * layers if checkpointing else layer * layers
    gradient = size * shape.inner
    return tokens * (again + rest), tokens * (gradient + (layer if checkpointing else 0))


def working_bytes(shape: Shape, tokens: int, size: int) -> float:
    """Bytes of the gradient that reaches the embedding, with a copy."""
    return 2.0 * tokens * size * shape.width
