"""What an adapter has of parameters, and keeps of each token, in an encoder built as BERT is; of others nearly."""

from dataclasses import dataclass
from typing import Any

from xdist.config.adapter import Adapter
from xdist.config.syntax import Syntax
from xdist.estimate.shapes import Shape
from xdist.formats.parses import UNTAGGED

PAIRS = 128  # pieces that a piece is compared with in graph attention


@dataclass(frozen=True, slots=True)
class AdapterSize:
    """`parameters` of all layers; `beside`: values of each token that its backward pass needs in addition to those of the
    encoder."""

    parameters: int
    beside: int


def size_of(shape: Shape, adapter: Adapter) -> AdapterSize:
    rank, width, inner = adapter.rank, shape.width, shape.inner
    if not rank:
        return AdapterSize(0, 0)
    if adapter.kind == "bottleneck":
        half, narrow = width // 2, max(1, width // 8)
        invertible = 2 * (2 * half * narrow + half + narrow) if adapter.invertible else 0
        # The norm is computed again on what was added.
        return AdapterSize(shape.layers * (2 * rank * width + rank + width) + invertible, shape.layers * 2 * (rank + width))
    of_layer, matrices = 0, 0
    if "attention" in adapter.stands_at:
        of_layer, matrices = of_layer + 4 * rank * 2 * width, matrices + 4
    if "mlp" in adapter.stands_at:
        of_layer, matrices = of_layer + 2 * rank * (width + inner), matrices + 2
    return AdapterSize(shape.layers * of_layer, shape.layers * matrices * rank)


def of_trees(shape: Shape, syntax: Syntax) -> AdapterSize:
    """What a reader of trees has and keeps, of texts of some hundred pieces."""
    states, columns = syntax.states, syntax.joined * shape.width // max(1, shape.heads)
    graph = (shape.width + (syntax.layers - 1) * states) * states + syntax.layers * 2 * states
    joins = shape.layers * 2 * (states + 1) * columns
    parameters = (UNTAGGED + 1) * shape.width + graph + 2 * states + joins + 2 * syntax.rank * states
    return AdapterSize(parameters, 2 * shape.width + syntax.layers * (5 * states + 5 * syntax.heads * PAIRS))


def settings_of(shape: Shape, adapter: Adapter | None, syntax: Syntax | None = None) -> dict[str, Any]:
    """What a Setting says of it; nothing where the encoder alone is trained."""
    if syntax is not None and syntax.read:
        size = of_trees(shape, syntax)
        return {"added": size.parameters, "beside": size.beside}
    if adapter is None:
        return {}
    size = size_of(shape, adapter)
    return {"adapted": size.parameters, "beside": size.beside}
