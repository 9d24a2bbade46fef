"""Words of prepared rows: which tokens make up a word, how it is written, and the tokens of another word instead.

A piece that begins with "▁" (SentencePiece) begins a white-space word; one without "##" (WordPiece) begins a word or a mark of
punctuation, for these tokenizers part them from each other. Pieces of BPE are bytes of the text, and words are found by the
white space among them; one that reaches over two words holds both fast. No other piece reaches over two words, so a word can be
replaced in a row without its text, and the row is then what the tokenizer would have made of the new text. Texts are as the
tokenizer normalises them. Several sequences and parts of sequences (premise and hypothesis) are distinguished by the special
tokens between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from tokenizers.models import BPE, Unigram, WordPiece

from xdist.errors import UserError
from xdist.robust.bpe import piece_bytes
from xdist.tasks.rewritten import WordIds
from xdist.tasks.special_tokens import around_pair

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from xdist.tasks.family import Family, Row

WORD_START = "▁"
CACHED = 1 << 16  # words whose replacements are remembered
WORDS_AT_A_TIME = 10_000


@dataclass(frozen=True, slots=True)
class Words:
    """The W words of a row, in order. `index` numbers them from 0, from 0 again in each sequence where sequences repeat a text;
    `text` says in which text they are: 0 is the first (premise, prompt, question), 1 the second."""

    low: np.ndarray  # (W,) position of the first token
    high: np.ndarray  # (W,) after the last
    index: np.ndarray  # (W,)
    text: np.ndarray  # (W,)
    free: np.ndarray  # (W,) bool: complete, spelled without <unk>, and not fixed by the task


class WordPieces:
    """What a tokenizer's pieces are to words. Raises UserError for a tokenizer whose pieces do not show where words begin."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if not tokenizer.is_fast:
            raise UserError(f"{tokenizer.name_or_path}: words cannot be found in pieces without a tokenizer.json")
        self.tokenizer = tokenizer
        model = tokenizer.backend_tokenizer.model
        pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        nowhere = np.zeros(len(pieces), bool)
        # Pieces that end in a blank, after which a word begins, and pieces that no word can be replaced with.
        self.ends, self.mixed = nowhere, nowhere
        self.bytes: list[bytes] | None = None
        added = set(tokenizer.added_tokens_decoder)
        if isinstance(model, Unigram):
            starts = [piece.startswith(WORD_START) for piece in pieces]
            self.pieces = [piece.replace(WORD_START, " ") for piece in pieces]
        elif isinstance(model, WordPiece):
            prefix = model.continuing_subword_prefix
            starts = [not piece.startswith(prefix) for piece in pieces]
            self.pieces = [" " + piece if start else piece[len(prefix) :] for piece, start in zip(pieces, starts, strict=True)]
        elif isinstance(model, BPE):
            self.bytes = piece_bytes(tokenizer, pieces)
            starts = [text[:1].isspace() for text in self.bytes]
            self.ends = np.array([text[-1:].isspace() and not text.isspace() for text in self.bytes])
            self.visible = np.array([not text.isspace() for text in self.bytes])
            self.mixed = np.array([len(text.split()) > 1 or text.lstrip() not in (text, text[1:]) for text in self.bytes])
            self.mixed |= self.ends | np.array(
                [start and text[:1] != b" " for text, start in zip(self.bytes, starts, strict=True)]
            )
            self.blank = self._blank()
            added = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        else:
            raise UserError(
                f"{tokenizer.name_or_path}: words cannot be found in the pieces of a {type(model).__name__} vocabulary "
                "(valid: BPE, Unigram, WordPiece)"
            )
        self.unknown: int = -1 if tokenizer.unk_token_id is None else tokenizer.unk_token_id
        self.parted = bool(around_pair(tokenizer)[1])
        outside = {*tokenizer.all_special_ids, *added} - {self.unknown}
        self.special = np.isin(np.arange(len(pieces)), list(outside))
        # SentencePiece's <unk> is some characters of a word, WordPiece's [UNK] is a word.
        self.starts = np.array(starts) & ~self.special
        self.encode = lru_cache(CACHED)(self._encode)

    def _blank(self) -> str:
        """What comes before a word that is encoded alone, so that it has the pieces of a word after a blank."""
        alone, two, after = (self.ids(text) for text in ("a", "a a", " a"))
        if two == (*alone, *alone):
            return ""
        if two == (*alone, *after):
            return " "
        raise UserError(f"{self.tokenizer.name_or_path}: its tokenizer does not encode words one by one")

    def ids(self, text: str) -> WordIds:
        return tuple(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def words(self, row: Row, family: Family) -> Words:
        """The words of `row`: at white space, or where the task says that its words begin. Raises UserError where two texts
        are in one sequence with nothing between them."""
        if family.pairs and not self.parted:
            raise UserError(f"{self.tokenizer.name_or_path}: its tokenizer puts nothing between two texts, words run together")
        tokens, lengths = np.asarray(row["tokens"]), np.asarray(row["lengths"])
        sequences = np.cumsum(lengths) - lengths
        special = self.special[tokens]
        given = family.word_starts(row)
        after = np.append(True, special[:-1])
        after[sequences] = True
        # The rest of a word that was cut off in front begins after special tokens, too.
        opens = after & ~special
        if given is None:
            first = self.starts[tokens] | np.append(False, self.ends[tokens[:-1]])
        else:
            first = np.bincount(given, minlength=len(tokens)).astype(bool)
        first = (first | opens) & ~special
        low = np.flatnonzero(first)
        stops = np.append(np.flatnonzero(first | special), len(tokens))
        high = stops[np.searchsorted(stops, low, side="right")]

        held = (tokens == self.unknown) | self.mixed[tokens]
        held[family.fixed(row)] = True
        if self.bytes is None:
            whole = self.starts[tokens[low]]
        else:  # the first word of a text has no blank before it
            if (goes_on := family.continued(row)) is not None and not self.starts[tokens[goes_on]]:
                held[goes_on] = True
            if given is not None:  # several words that share a piece
                held |= np.bincount(given, minlength=len(tokens)) > 1
            seen = np.append(0, np.cumsum(self.visible[tokens]))
            whole = seen[low] < seen[high]
        before = np.append(0, np.cumsum(held))
        free = whole & (before[low] == before[high])
        if row["cut"]:  # the last word of a text may be the beginning of a longer one
            free &= ~np.append(special | after, True)[high]

        index = np.arange(len(low))
        text = np.cumsum(opens)
        part = text[low] - 1
        if family.repeats:
            begin = sequences[np.searchsorted(np.cumsum(lengths), low, side="right")]
            index -= np.searchsorted(low, begin)
            part -= np.append(0, text)[begin]
        return Words(low, high, index, part, free)

    def text(self, tokens: WordIds) -> str:
        """How the word of these tokens is written; a space in it where it is really two."""
        if self.bytes is not None:
            return b"".join([self.bytes[token] for token in tokens]).decode(errors="replace").strip()
        return "".join([self.pieces[token] for token in tokens]).strip()

    def after_blank(self, word: WordIds) -> bool:
        """Whether a blank is before the word of these tokens, as far as they show it."""
        return self.bytes is None or bool(self.starts[word[0]])

    def _encode(self, text: str, one: bool, after_blank: bool = True) -> WordIds | None:
        """The tokens of `text`; None where it has none or an unknown one, or with `one` where it is more than one word."""
        if self.bytes is None:
            tokens = self.ids(text)
            several = sum(self.starts[list(tokens)]) != 1
        else:
            tokens = self.ids(self.blank + text.strip() if after_blank else text.strip())
            several = len(text.split()) != 1
            if not text.strip() or self.after_blank(tokens) != after_blank:
                return None
        if not tokens or self.unknown in tokens or (one and several):
            return None
        return tokens

    def ids_of_words(self, words: Iterable[str]) -> np.ndarray:
        """The sorted ids that the words are spelled with, at any position in a text."""
        found: set[int] = set()
        coming = iter(dict.fromkeys(words))
        while chunk := list(islice(coming, WORDS_AT_A_TIME)):
            for blank in {"", "" if self.bytes is None else self.blank}:
                texts = [blank + word for word in chunk]
                encoded = self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
                found.update(*encoded)
        return np.array(sorted(found), np.int64)
