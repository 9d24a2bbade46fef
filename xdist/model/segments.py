"""Segment ids: which of two texts a token belongs to, for encoders that were trained to distinguish them.

They are read off the tokens: segment 1 begins after the first separator of a sequence that anything follows. So a row needs to
hold nothing more, and its border moves along when its words are rewritten. A text that contains the separator itself, written
out as a special token, is taken for two.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xdist.model.backbone import separator
from xdist.tasks.batch import Batch


def enable_segments(encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Give the encoder the segments that its tokenizer marks, if it knows any. Raises UserError as `separator`."""
    encoder.separator = separator(encoder.config, tokenizer)  # type: ignore[assignment]


def segments_of(encoder: PreTrainedModel, batch: Batch) -> Tensor | None:
    """(T,) the segment of each token, 0 or 1; None for an encoder that knows only one or was not given any."""
    tokens: tuple[int, ...] = getattr(encoder, "separator", ())
    return second_texts(batch, tokens) if tokens else None


def second_texts(batch: Batch, separator: tuple[int, ...]) -> Tensor:
    """(T,) 1 for the tokens of a sequence that come after its first `separator`, else 0."""
    ends = batch.positions >= len(separator) - 1  # whether a separator ends here; none reaches back into another sequence
    for back, token in enumerate(reversed(separator)):
        ends = ends & (batch.tokens.roll(back) == token)
    before = torch.cumsum(ends, 0) - ends.long()  # separators that ended before each token, in the complete row
    return (before > before[batch.starts][batch.token_sequence]).long()
