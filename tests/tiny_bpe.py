"""Small BPE tokenizers of the kinds that encoders of today have, learnt from given texts."""

import json
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import GemmaTokenizer, LlamaTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

# Of Llama 3, shortened: contractions, words with the sign before them, numbers, marks, blanks.
LLAMA3 = r"(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?!\S)|\s+"
BYTES = [f"<0x{number:02X}>" for number in range(256)]


def gemma_like(texts: Iterable[str], size: int = 600, template: str = "<bos> $A <eos>") -> PreTrainedTokenizerBase:
    """As mmBERT's: a blank is "▁", none is put before a text, characters that are not known are bytes."""
    vocabulary, merges = _sentence_piece(texts, size, ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *BYTES])
    tokenizer = GemmaTokenizer(vocab=vocabulary, merges=merges)
    return _with_template(tokenizer, template, "<bos>", "<eos>")


def llama2_like(texts: Iterable[str], size: int = 600, template: str = "<s> $A") -> PreTrainedTokenizerBase:
    """The same with "▁" before the first word too, and without a token for padding."""
    vocabulary, merges = _sentence_piece(texts, size, ["<unk>", "<s>", "</s>", *BYTES])
    return _with_template(LlamaTokenizer(vocab=vocabulary, merges=merges), template, "<s>", "</s>")


def byte_level(
    texts: Iterable[str], size: int = 600, template: str = "<s> $A </s>", *, prefix: bool = False, pad: str | None = "<pad>"
) -> PreTrainedTokenizerBase:
    """As RoBERTa's and GPT-2's; `prefix`: with a blank before the first word (add_prefix_space)."""
    tokenizer = _byte_level(texts, size, ["<s>", "<pad>", "</s>", "<mask>"], pre_tokenizers.ByteLevel(add_prefix_space=prefix))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>", mask_token="<mask>"
    )
    fast.pad_token = pad
    return _with_template(fast, template, "<s>", "</s>")


def llama3_like(texts: Iterable[str], size: int = 600, template: str = "<|bos|> $A <|eos|>") -> PreTrainedTokenizerBase:
    """As EuroBERT's: byte-level, its own regular expression, complete words first, and it pads with its last token."""
    parts = [pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    tokenizer = _byte_level(texts, size, ["<|bos|>", "<|eos|>", "<|mask|>"], pre_tokenizers.Sequence(parts))
    described = json.loads(tokenizer.to_str())
    described["model"]["ignore_merges"] = True
    fast = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(described)),
        bos_token="<|bos|>",
        eos_token="<|eos|>",
        pad_token="<|eos|>",
        mask_token="<|mask|>",
    )
    return _with_template(fast, template, "<|bos|>", "<|eos|>")


def _sentence_piece(texts: Iterable[str], size: int, first: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges, none of which goes over a blank."""
    learnt = Tokenizer(models.BPE())
    learnt.normalizer = normalizers.Replace(" ", "▁")
    learnt.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    learnt.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, show_progress=False))
    model = json.loads(learnt.to_str())["model"]
    pieces = [*first, *sorted(model["vocab"], key=model["vocab"].get)]
    return {piece: number for number, piece in enumerate(pieces)}, [tuple(merge) for merge in model["merges"]]


def _byte_level(texts: Iterable[str], size: int, special: list[str], parts: pre_tokenizers.PreTokenizer) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = parts, decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    options = {"vocab_size": size + 256, "special_tokens": special, "initial_alphabet": alphabet, "show_progress": False}
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(**options))
    return tokenizer


def _with_template(tokenizer: PreTrainedTokenizerBase, single: str, first: str, last: str) -> PreTrainedTokenizerBase:
    """A pair is the template of a text once for each of the two, except for what is before the first."""
    second = single.replace("$A", "$B").removeprefix(first).strip()
    ids = [(token, tokenizer.convert_tokens_to_ids(token)) for token in (first, last) if token in single]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single, f"{single} {second}", ids)
    return tokenizer
