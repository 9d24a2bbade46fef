"""A small random encoder with a vocabulary of its own: the demo's stand-in where there is no real one, and every test's model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from tokenizers.implementations import BertWordPieceTokenizer
from transformers import BertConfig, BertModel, BertTokenizer, PreTrainedModel, XLMRobertaConfig, XLMRobertaModel

from xdist.demo.vocabulary import train_vocabulary, write_tokenizer
from xdist.files import written_folder

LENGTH = 512  # tokens, special ones included, as XLM-R and BERT have it


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
    """Writes a randomly initialised encoder and a tokenizer trained on `texts` into `folder`, which AutoModel and
    AutoTokenizer load, and gives `folder` back. The same arguments give the same files. Dropout is 0.1.

    `hidden` is a multiple of 16 (heads of 16); `vocabulary` is an upper bound, reached only with enough text.
    """
    with written_folder(folder) as temporary:
        write = _write_xlmr_tokenizer if kind == "xlm-roberta" else _write_bert_tokenizer
        size = write(temporary, texts, vocabulary)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _model(kind, size, layers, hidden).save_pretrained(temporary)
    return folder


def _model(kind: str, vocabulary: int, layers: int, hidden: int) -> PreTrainedModel:
    shape = {
        "vocab_size": vocabulary,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": hidden // 16,
        "intermediate_size": 4 * hidden,
    }
    if kind == "bert":
        return BertModel(BertConfig(**shape, max_position_embeddings=LENGTH))
    # Positions of real tokens begin at pad id + 1 = 2.
    return XLMRobertaModel(XLMRobertaConfig(**shape, max_position_embeddings=LENGTH + 2, layer_norm_eps=1e-5))


def _write_xlmr_tokenizer(folder: Path, texts: Sequence[str], size: int) -> int:
    vocabulary = train_vocabulary(texts, size)
    write_tokenizer(folder, vocabulary, max_length=LENGTH)
    return len(vocabulary.pieces)


def _write_bert_tokenizer(folder: Path, texts: Sequence[str], size: int) -> int:
    trained = BertWordPieceTokenizer(lowercase=False, strip_accents=False)
    trained.train_from_iterator(texts, vocab_size=size, min_frequency=1, show_progress=False)
    tokenizer = BertTokenizer(vocab=trained.get_vocab(), do_lower_case=False, model_max_length=LENGTH)
    tokenizer.save_pretrained(folder)
    return len(tokenizer)
