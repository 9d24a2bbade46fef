"""What a forward pass keeps for the backward pass, of an encoder built as BERT is, with attention that keeps no probabilities.

Per token and layer, in widths d of the encoder and inner widths f of its feed-forward layer: the input of query, key and value
(d) and these three (3 d), what attention gives (d), the input and output of the norm before the feed-forward layer (2 d), the
inner states before and after their nonlinearity (2 f), the input of the next norm (d): 8 d + 2 f, where norms come after
(XLM-R) and where they come before (XLM-R XL) alike. Further 8 bytes of statistics for each norm, 4 bytes a head for the
softmax, and the masks of dropout.
"""

from xdist.estimate.shapes import Shape


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
