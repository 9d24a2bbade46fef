"""The tokenizer of a backbone, and the digits that distinguish it from every other."""

import hashlib
import json

from transformers import AutoTokenizer, PreTrainedTokenizerBase, XLMTokenizer

from xdist.data.fetched import check_package, check_place, load_error
from xdist.errors import UserError


def load_tokenizer(backbone: str) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a folder or hub id; of XLM, which has none, the slow one. Raises UserError when there is none."""
    check_place(backbone)
    try:
        tokenizer = AutoTokenizer.from_pretrained(backbone, trust_remote_code=False)
    # `tokenizers` raises a plain Exception or panics, which is none; transformers any error that a value of another kind leads
    # to.
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        if isinstance(error, ImportError) and "sacremoses" in str(error):  # a backbone from the hub was not looked at before
            check_package(backbone, "xlm")
        raise load_error(backbone, "no tokenizer could be loaded: ", error) from None
    if not tokenizer.is_fast and not isinstance(tokenizer, XLMTokenizer):
        raise UserError(f"{backbone}: has no fast tokenizer (tokenizer.json)")
    return tokenizer


def tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """16 digits that depend on vocabulary, scores, normaliser and special tokens."""
    if isinstance(tokenizer, XLMTokenizer):
        merges = [" ".join(pair) for pair in tokenizer.bpe_ranks]
        # By this flag texts are lower-cased and lose their accents, or not.
        told = [tokenizer.get_vocab(), merges, tokenizer.do_lowercase_and_remove_accent, tokenizer.special_tokens_map]
        described = json.dumps(["xlm", *told], sort_keys=True)
    else:
        described = tokenizer.backend_tokenizer.to_str()
    return hashlib.sha256(described.encode()).hexdigest()[:16]
