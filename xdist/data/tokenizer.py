"""The tokenizer of a backbone, and the digits that tell it from every other."""

import hashlib

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xdist.data.fetched import check_place, not_loaded
from xdist.errors import UserError


def load_tokenizer(backbone: str) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a folder or hub id. Raises UserError when there is none."""
    check_place(backbone)
    try:
        tokenizer = AutoTokenizer.from_pretrained(backbone)
    except (OSError, ValueError, KeyError) as error:
        raise not_loaded(backbone, "no tokenizer could be loaded: ", error) from None
    if not tokenizer.is_fast:
        raise UserError(f"{backbone}: has no fast tokenizer (tokenizer.json)")
    return tokenizer


def tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """16 digits that depend on vocabulary, scores, normaliser and special tokens."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:16]
