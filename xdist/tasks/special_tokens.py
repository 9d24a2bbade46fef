"""The special tokens that a tokenizer puts around a text or a pair of texts, and the segment ids that it gives with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdist.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def around_text(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """What is before and after a single text: `<s>` and `</s>` for XLM-R. Either may be nothing."""
    tokens, text = _marked(tokenizer, "a")
    return tokens[: text[0]], tokens[text[-1] + 1 :]


def around_pair(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int], list[int]]:
    """What is before, between and after two texts: `<s>`, `</s></s>` and `</s>` for XLM-R. Each may be nothing."""
    tokens, text = _marked(tokenizer, "a", "a")
    first = len(_marked(tokenizer, "a")[1])
    return tokens[: text[0]], tokens[text[first - 1] + 1 : text[first]], tokens[text[-1] + 1 :]


def _marked(tokenizer: PreTrainedTokenizerBase, *texts: str) -> tuple[list[int], list[int]]:
    """The tokens of the texts in their template, and which of them are not the template's."""
    encoded = tokenizer(*texts, return_special_tokens_mask=True)
    return encoded["input_ids"], [place for place, special in enumerate(encoded["special_tokens_mask"]) if not special]


def separator(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The special tokens after which segment 1 begins: `[SEP]` for BERT; none for a tokenizer that gives segment 0 alone.
    Raises UserError for one whose segments are others."""
    # Set explicitly, since of the tokenizers whose template has two segments some do not give them by themselves.
    asked = {"return_token_type_ids": True, "return_special_tokens_mask": True}
    text, pair = tokenizer("a", **asked), tokenizer("a", "a", **asked)
    if not any([*text["token_type_ids"], *pair["token_type_ids"]]):
        return ()
    tokens, types, special = (pair[name] for name in ("input_ids", "token_type_ids", "special_tokens_mask"))
    end = begin = types.index(1) if 1 in types else 0
    while begin and special[begin - 1]:
        begin -= 1
    found = tuple(tokens[begin:end])
    if not found or any(_segments(one["input_ids"], found) != one["token_type_ids"] for one in (text, pair)):
        raise UserError(
            f"{tokenizer.name_or_path}: its tokenizer gives two texts of one token the segments {types}; "
            "xdist knows only those that are 0 up to a separator and 1 after it"
        )
    return found


def _segments(tokens: Sequence[int], separator: tuple[int, ...]) -> list[int]:
    length = len(separator)
    ends = (place for place in range(length, len(tokens)) if tuple(tokens[place - length : place]) == separator)
    second = next(ends, len(tokens))
    return [int(place >= second) for place in range(len(tokens))]
