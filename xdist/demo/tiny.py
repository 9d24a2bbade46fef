"""A small random encoder with its own vocabulary: the demo's substitute where there is no real one, and the tests' model."""

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import BertConfig, BertModel, BertTokenizer, PreTrainedModel, XLMRobertaConfig, XLMRobertaModel

from xdist.demo.vocabulary import train_vocabulary, write_tokenizer
from xdist.files import written_folder

LENGTH = 512  # tokens, special ones included, as XLM-R and BERT have it
BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def tiny_encoder(
    folder: Path,
    texts: Sequence[str],
    *,
    layers: int = 2,
    hidden: int = 64,
    vocabulary: int = 2000,
    seed: int = 0,
    kind: Literal["xlm-roberta", "bert"] = "xlm-roberta",
) -> Path:
    """Writes a randomly initialised encoder and a tokenizer made from `texts` into `folder`, which AutoModel and
    AutoTokenizer load, and gives `folder` back. The same arguments give the same files. Dropout is 0.1.

    `hidden` is a multiple of 16 (heads of 16); `vocabulary` is an upper bound, reached only with enough text.
    """
    with written_folder(folder) as temporary:
        write = _write_xlmr_tokenizer if kind == "xlm-roberta" else _write_bert_tokenizer
        size = write(temporary, texts, vocabulary)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _model(kind, size, layers, hidden).save_pretrained(temporary)
        shutil.copymode(temporary / "config.json", temporary / "model.safetensors")  # it is written private to the user
    return folder


def _model(kind: str, vocabulary: int, layers: int, hidden: int) -> PreTrainedModel:
    shape: dict[str, Any] = {
        "vocab_size": vocabulary,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": hidden // 16,
        "intermediate_size": 4 * hidden,
    }
    if kind == "bert":
        return BertModel(BertConfig(**shape, max_position_embeddings=LENGTH))
    # Positions of real tokens begin at pad id + 1 = 2.
    return XLMRobertaModel(XLMRobertaConfig(**shape, max_position_embeddings=LENGTH + 2, type_vocab_size=1))


def _write_xlmr_tokenizer(folder: Path, texts: Sequence[str], size: int) -> int:
    vocabulary = train_vocabulary(texts, size)
    write_tokenizer(folder, vocabulary, max_length=LENGTH)
    return len(vocabulary.pieces)


def _write_bert_tokenizer(folder: Path, texts: Sequence[str], size: int) -> int:
    """The most frequent characters, as beginnings and as continuations, and then the most frequent words. The tokenizers
    library's own WordPiece trainer numbers its pieces differently each time."""
    splitter = BertPreTokenizer()
    words = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(text))
    characters = Counter(character for word in words.elements() for character in word)
    pieces = dict.fromkeys(BERT_SPECIAL)
    for character in _most_frequent(characters, size // 4):
        pieces.update(dict.fromkeys((character, f"##{character}")))
    pieces.update(dict.fromkeys(word for word in _most_frequent(words, size) if word not in pieces))
    vocabulary = {piece: position for position, piece in enumerate(list(pieces)[:size])}
    BertTokenizer(vocab=vocabulary, do_lower_case=False, model_max_length=LENGTH).save_pretrained(folder)
    return len(vocabulary)


def _most_frequent(counts: Counter[str], limit: int) -> list[str]:
    return sorted(counts, key=lambda item: (-counts[item], item))[:limit]
