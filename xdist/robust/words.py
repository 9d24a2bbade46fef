"""Words of prepared rows: which tokens make up a word, how it is written, and the tokens of another word in its place.

A piece that begins with "▁" (SentencePiece) begins a white-space word; one without "##" (WordPiece) begins a word or a mark of
punctuation, for these tokenizers part them from each other. No piece reaches over two words, so a word can be replaced in a row
without its text, and the row is then what the tokenizer would have made of the new text. Texts are as the tokenizer normalises
them. Several sequences and parts of sequences (premise and hypothesis) are told apart by the special tokens between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from tokenizers.models import Unigram, WordPiece

from xdist.errors import UserError
from xdist.tasks.rewritten import WordIds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from xdist.tasks.family import Family, Row

WORD_START = "▁"
CACHED = 1 << 16  # words whose replacements are remembered


@dataclass(frozen=True, slots=True)
class Words:
    """The W words of a row, in order. `index` numbers them from 0, anew in each sequence where sequences repeat a text;
    `text` says in which text they stand: 0 is the first (premise, prompt, question), 1 the second."""

    low: np.ndarray  # (W,) position of the first token
    high: np.ndarray  # (W,) after the last
    index: np.ndarray  # (W,)
    text: np.ndarray  # (W,)
    free: np.ndarray  # (W,) bool: whole, spelled without <unk>, and not held fast by the task


class WordPieces:
    """What a tokenizer's pieces are to words. Raises UserError for a tokenizer whose pieces do not tell where words begin."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        model = tokenizer.backend_tokenizer.model
        pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        if isinstance(model, Unigram):
            starts = [piece.startswith(WORD_START) for piece in pieces]
            self.pieces = [piece.replace(WORD_START, " ") for piece in pieces]
        elif isinstance(model, WordPiece):
            prefix = model.continuing_subword_prefix
            starts = [not piece.startswith(prefix) for piece in pieces]
            self.pieces = [" " + piece if start else piece[len(prefix) :] for piece, start in zip(pieces, starts, strict=True)]
        else:
            raise UserError(
                f"{tokenizer.name_or_path}: words cannot be told from the pieces of a {type(model).__name__} vocabulary "
                "(valid: Unigram, WordPiece)"
            )
        self.unknown: int = -1 if tokenizer.unk_token_id is None else tokenizer.unk_token_id
        outside = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder} - {self.unknown}
        self.special = np.isin(np.arange(len(pieces)), list(outside))
        # SentencePiece's <unk> is some characters of a word, WordPiece's [UNK] is a word.
        self.starts = np.array(starts) & ~self.special
        self.encode = lru_cache(CACHED)(self._encode)

    def words(self, row: Row, family: Family) -> Words:
        """The words of `row`: at white space, or where the task says that its words begin."""
        tokens, lengths = np.asarray(row["tokens"]), np.asarray(row["lengths"])
        special = self.special[tokens]
        given = family.word_starts(row)
        first = self.starts[tokens] if given is None else np.bincount(given, minlength=len(tokens)).astype(bool)
        after = np.append(True, special[:-1])  # the rest of a word that was cut off in front begins here
        first = (first | after) & ~special
        low = np.flatnonzero(first)
        stops = np.append(np.flatnonzero(first | special), len(tokens))
        high = stops[np.searchsorted(stops, low, side="right")]

        held = tokens == self.unknown
        held[family.fixed(row)] = True
        before = np.append(0, np.cumsum(held))
        free = self.starts[tokens[low]] & (before[low] == before[high])
        if row["cut"]:  # the last word of a text may be the beginning of a longer one
            free &= ~np.append(special, True)[high]

        index = np.arange(len(low))
        text = np.cumsum(special & ~np.append(False, special[:-1]))
        part = text[low] - 1
        if family.repeats:
            begin = (np.cumsum(lengths) - lengths)[np.searchsorted(np.cumsum(lengths), low, side="right")]
            index -= np.searchsorted(low, begin)
            part = text[low] - text[begin]
        return Words(low, high, index, part, free)

    def text(self, tokens: WordIds) -> str:
        """How the word of these tokens is written; a space in it where it is really two."""
        return "".join([self.pieces[token] for token in tokens]).strip()

    def _encode(self, text: str, one: bool) -> WordIds | None:
        """The tokens of `text`; None where it has none or an unknown one, or with `one` where it is more than one word."""
        tokens = tuple(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        if not tokens or self.unknown in tokens or (one and sum(self.starts[list(tokens)]) != 1):
            return None
        return tokens
