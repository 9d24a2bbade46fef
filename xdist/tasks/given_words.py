"""The pieces of given words, as running text has them.

Pre-training saw words in sentences. Where a piece says whether a blank is before it ("▁cat", "Ġcat"), a word that is
encoded alone comes out in pieces that no sentence has: so words are joined, and pieces are mapped back by overlap of offsets.
SentencePiece's Unigram tokenizers put "▁" before a text of any length, and WordPiece parts words before all else: alone or
joined is the same there, and words are encoded alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from tokenizers.models import Unigram, WordPiece
from transformers import PreTrainedTokenizerBase

from xdist.config.data import Joining
from xdist.errors import UserError
from xdist.formats.examples import Tagged
from xdist.tasks.catalog import Task


@dataclass(frozen=True, slots=True)
class Spelled:
    """The pieces of each of W words. A word may have none: `shares` says whether the last piece before it holds a part of it
    (one piece over two words is the first one's), else nothing of the word is left."""

    pieces: list[list[int]]
    shares: list[bool]


def encodes_words_alone(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a word that is encoded alone has the pieces that it has in running text."""
    if not tokenizer.is_fast:
        return True
    if not isinstance(tokenizer.backend_tokenizer.model, (Unigram, WordPiece)):
        return False
    options = {"add_special_tokens": False, "verbose": False}
    apart = tokenizer(["a", "a"], is_split_into_words=True, **options)["input_ids"]
    return bool(apart == tokenizer("a a", **options)["input_ids"])


def joining_form(task: Task, tokenizer: PreTrainedTokenizerBase, asked: Joining) -> list[str]:
    """What of `asked` rows of `task` depend on; nothing where words are encoded one by one, as they always were."""
    joining = task.joining(asked)
    return [joining] if joining in ("text", "official") or (joining == "joined" and not encodes_words_alone(tokenizer)) else []


def spell_words(sentences: Sequence[Tagged], tokenizer: PreTrainedTokenizerBase, joining: Joining) -> Iterator[Spelled]:
    """The words of each sentence. Raises UserError for `text` with a tokenizer that gives no offsets."""
    if joining == "text" and not tokenizer.is_fast:
        raise UserError(f"data.words=text: the tokenizer of {tokenizer.name_or_path} gives no offsets")
    if joining in ("separate", "official") or (joining == "joined" and encodes_words_alone(tokenizer)):
        return _one_by_one([list(sentence.words) for sentence in sentences], tokenizer)
    return _in_text(sentences, tokenizer, keep_glued=joining == "text")


def _one_by_one(sentences: Sequence[list[str]], tokenizer: PreTrainedTokenizerBase) -> Iterator[Spelled]:
    options = {"add_special_tokens": False, "return_attention_mask": False, "verbose": False}
    if not tokenizer.is_fast:
        # Each word goes through its own rules and merges, so it is done once.
        known = {word: tokenizer(word, **options)["input_ids"] for word in {word for words in sentences for word in words}}
        for words in sentences:
            yield Spelled([known[word] for word in words], [False] * len(words))
        return
    encoded = tokenizer(sentences, is_split_into_words=True, **options)
    for index, words in enumerate(sentences):
        pieces: list[list[int]] = [[] for _ in words]
        for token, word in zip(encoded["input_ids"][index], encoded.word_ids(index), strict=True):
            pieces[word].append(token)
        yield Spelled(pieces, [False] * len(words))


def _in_text(sentences: Sequence[Tagged], tokenizer: PreTrainedTokenizerBase, keep_glued: bool) -> Iterator[Spelled]:
    options = {"add_special_tokens": False, "return_attention_mask": False, "verbose": False}
    joined = [_joined(sentence, keep_glued) for sentence in sentences]
    encoded = tokenizer([text for text, _, _ in joined], return_offsets_mapping=True, **options)
    rows = zip(sentences, joined, encoded["input_ids"], encoded["offset_mapping"], strict=True)
    for sentence, (_, begins, ends), tokens, offsets in rows:
        pieces: list[list[int]] = [[] for _ in begins]
        reach = [0] * (len(begins) + 1)  # reach[w + 1]: the character after the last one that a piece of word w holds
        # A piece begins in its word or in the blank before it, so its word is the first that ends after its beginning.
        places = np.searchsorted(ends, [begin for begin, _ in offsets], side="right").clip(max=max(len(ends) - 1, 0))
        for token, (_, end), word in zip(tokens, offsets, places.tolist(), strict=True):
            pieces[word].append(token)
            reach[word + 1] = max(reach[word + 1], end)
        reach = list(accumulate(reach, max))
        shares = [not own and reach[word] > begins[word] < ends[word] for word, own in enumerate(pieces)]
        for word, (own, share) in enumerate(zip(pieces, shares, strict=True)):
            if not own and not share:  # white space, or nothing that a text in words has
                pieces[word] = tokenizer(sentence.words[word], **options)["input_ids"]
        yield Spelled(pieces, shares)


def _joined(sentence: Tagged, keep_glued: bool) -> tuple[str, list[int], list[int]]:
    """The text of a sentence, and where each word begins and ends in it. Words of white space alone are left out: two blanks in
    a row are no running text."""
    glued = (keep_glued and sentence.glued) or [False] * len(sentence.words)
    text, blank = "", ""
    begins: list[int] = []
    ends: list[int] = []
    for word, close in zip(sentence.words, glued, strict=True):
        if core := word.strip():
            begins.append(len(text) + len(blank))
            text += blank + core
            blank = "" if close else " "
        else:
            begins.append(len(text))
        ends.append(len(text))
    return text, begins, ends
