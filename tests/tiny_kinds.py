"""A tiny random encoder of any kind, with a tokenizer of that kind's own make."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tiny import NAMES
from tiny_bpe import gemma_like, llama3_like
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from transformers import (
    AlbertConfig,
    AlbertTokenizer,
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertTokenizer,
    CamembertConfig,
    CamembertTokenizer,
    DebertaV2Config,
    DebertaV2Tokenizer,
    DistilBertConfig,
    DistilBertTokenizer,
    ElectraConfig,
    ElectraTokenizer,
    EuroBertConfig,
    ModernBertConfig,
    PreTrainedTokenizerBase,
    RemBertConfig,
    RemBertTokenizer,
    RobertaConfig,
    RobertaTokenizer,
    XLMConfig,
    XLMRobertaConfig,
    XLMRobertaTokenizer,
    XLMRobertaXLConfig,
)

LAYERS = 3
TEXTS = [word for words in NAMES.values() for word in words.split()]
CHARACTERS = sorted({character for text in TEXTS for character in text} | set("?.,"))


def _word_piece(kind: Any) -> PreTrainedTokenizerBase:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *CHARACTERS, *(f"##{one}" for one in CHARACTERS), *TEXTS[::2]]
    return kind(vocab={piece: number for number, piece in enumerate(dict.fromkeys(pieces))}, do_lower_case=False)


def _unigram(kind: Any, special: str) -> PreTrainedTokenizerBase:
    pieces = dict.fromkeys([*special.split(), "▁", *CHARACTERS, *(f"▁{word}" for word in TEXTS[::2])])
    tokenizer = kind(vocab=[(piece, -float(number > 8)) for number, piece in enumerate(pieces)])
    if kind is RemBertTokenizer:  # made from a vocabulary it loses its template, which files of published ones hold
        marks = [(mark, tokenizer.convert_tokens_to_ids(mark)) for mark in ("[CLS]", "[SEP]")]
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", marks)
    return tokenizer


def _bytes(kind: Any) -> PreTrainedTokenizerBase:
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    return kind(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])


def _xlmr() -> PreTrainedTokenizerBase:
    return _unigram(XLMRobertaTokenizer, "<s> <pad> </s> <unk> <mask>")


def _bracketed(kind: Any) -> PreTrainedTokenizerBase:
    return _unigram(kind, "<pad> <unk> [CLS] [SEP] [MASK]")


# Of each kind its tokenizer, its configuration, and what that is given in addition to SHAPE.
KINDS: dict[str, tuple[Callable[[], PreTrainedTokenizerBase], Any, dict[str, Any]]] = {
    "xlm-roberta": (_xlmr, XLMRobertaConfig, {"type_vocab_size": 1}),
    "xlm-roberta-xl": (_xlmr, XLMRobertaXLConfig, {}),
    "roberta": (lambda: _bytes(RobertaTokenizer), RobertaConfig, {}),  # as many types as its class gives it by default: two
    "camembert": (lambda: _unigram(CamembertTokenizer, "<s> <pad> </s> <unk> <mask>"), CamembertConfig, {"type_vocab_size": 1}),
    "bert": (lambda: _word_piece(BertTokenizer), BertConfig, {}),
    "electra": (lambda: _word_piece(ElectraTokenizer), ElectraConfig, {"embedding_size": 16}),
    "rembert": (lambda: _bracketed(RemBertTokenizer), RemBertConfig, {"input_embedding_size": 16}),
    "albert": (lambda: _bracketed(AlbertTokenizer), AlbertConfig, {"embedding_size": 16}),
    "deberta-v2": (
        lambda: _bracketed(DebertaV2Tokenizer),
        DebertaV2Config,
        {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm"},
    ),
    "deberta-v2 with segments": (lambda: _bracketed(DebertaV2Tokenizer), DebertaV2Config, {"type_vocab_size": 2}),
    "distilbert": (lambda: _word_piece(DistilBertTokenizer), DistilBertConfig, {}),
    "modernbert": (lambda: gemma_like(TEXTS, 200), ModernBertConfig, {"local_attention": 8, "global_attn_every_n_layers": 2}),
    "eurobert": (lambda: llama3_like(TEXTS, 100), EuroBertConfig, {}),  # pads with the token that ends texts
    "xlm": (_xlmr, XLMConfig, {}),
}
# Whose encoder has learnt two segments and whose tokenizer marks them, though those of ALBERT and RemBERT only when asked.
WITH_SEGMENTS = {"bert", "electra", "rembert", "albert", "deberta-v2 with segments"}
SHAPE = {
    "num_hidden_layers": LAYERS,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "initializer_range": 0.3,
    "max_position_embeddings": 80,
}


def tiny_kind(folder: Path, kind: str, **shape: int) -> Path:
    """Write an encoder of `kind`, a key of KINDS, with its tokenizer into `folder`, and give `folder` back. `shape` is what
    differs from SHAPE."""
    tokenizer, config, own = KINDS[kind]
    tokenizer().save_pretrained(folder)
    made = AutoTokenizer.from_pretrained(folder)
    ids = {"pad_token_id": made.pad_token_id, "bos_token_id": made.bos_token_id, "eos_token_id": made.eos_token_id}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        model = AutoModel.from_config(config(vocab_size=len(made), **{**SHAPE, **shape}, **ids, **own))
        for name, parameter in model.named_parameters():
            if "norm" in name.lower():  # begins as one and zero, as if it were not there
                torch.nn.init.normal_(parameter, mean=float("weight" in name), std=0.2)
    model.save_pretrained(folder)
    return folder
