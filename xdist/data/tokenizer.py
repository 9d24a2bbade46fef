"""The tokenizer of a backbone, and the digits that tell it from every other."""

import hashlib
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xdist.errors import UserError


def check_place(backbone: str) -> None:
    """Raises UserError for a path to a folder that is not there; `name` and `owner/name` may be hub ids."""
    if not Path(backbone).is_dir() and (backbone.startswith((".", "/", "~")) or backbone.count("/") > 1):
        raise UserError(f"{backbone}: no such folder (model.backbone)")


def load_tokenizer(backbone: str) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a folder or hub id. Raises UserError when there is none."""
    check_place(backbone)
    try:
        tokenizer = AutoTokenizer.from_pretrained(backbone)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{backbone}: no tokenizer could be loaded: {reason}") from None
    if not tokenizer.is_fast:
        raise UserError(f"{backbone}: has no fast tokenizer (tokenizer.json)")
    return tokenizer


def tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """16 digits that depend on vocabulary, scores, normaliser and special tokens."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:16]
