"""The special tokens that a tokenizer puts around a text or a pair of texts."""

from itertools import groupby

from transformers import PreTrainedTokenizerBase


def around_text(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """What stands before and after a single text: `<s>` and `</s>` for XLM-R."""
    before, after = _around(tokenizer("a", return_special_tokens_mask=True))
    return before, after


def around_pair(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int], list[int]]:
    """What stands before, between and after two texts: `<s>`, `</s></s>` and `</s>` for XLM-R."""
    before, between, after = _around(tokenizer("a", "a", return_special_tokens_mask=True))
    return before, between, after


def _around(encoded: dict[str, list[int]]) -> list[list[int]]:
    marked = zip(encoded["special_tokens_mask"], encoded["input_ids"], strict=True)
    runs = [(special, [token for _, token in run]) for special, run in groupby(marked, key=lambda pair: pair[0])]
    return [tokens for special, tokens in runs if special]
