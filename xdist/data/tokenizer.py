"""The tokenizer of a backbone, and the digits that tell it from every other."""

import hashlib
from pathlib import Path

from huggingface_hub import is_offline_mode
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xdist.data.fetched import may_be_hub_id
from xdist.errors import UserError


def check_place(backbone: str) -> None:
    """Raises UserError for a path to a folder that is not there; `name` and `owner/name` may be hub ids."""
    if not Path(backbone).is_dir() and not may_be_hub_id(backbone):
        raise UserError(f"{backbone}: no such folder (model.backbone)")


def not_loaded(backbone: str, what: str, error: Exception) -> UserError:
    """Why nothing could be loaded, and what to do about it where the backbone is a hub id."""
    if not Path(backbone).is_dir() and is_offline_mode():
        return UserError(
            f"{backbone}: is not here and the hub is switched off: run `xdist fetch RUN.yaml` on a machine with a network"
        )
    return UserError(f"{backbone}: {what}{str(error).strip().splitlines()[0]}")


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
