"""BPE vocabularies: what their pieces are written with, and words cut into other pieces.

    words are merged as the tokenizer does it, but each possible merge is skipped with probability p, drawn again at each step

BPE-dropout (Provilkov et al. 2020, arXiv 1910.13267, algorithm 1; p = 0.1 there); p = 0 gives the tokenizer's own pieces, p = 1
single characters. Pieces are of bytes, each written as a separate character (GPT-2, RoBERTa, Llama 3), or of characters with
"▁" for a blank (Gemma, Llama 2), a character that is not known then being its bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from xdist.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

REMEMBERED = 1 << 14  # words whose symbols are kept
LONGEST = 256  # symbols of a part of a word; a longer one is no word, and takes draws by the square of its length


def _byte_of() -> dict[str, int]:
    """The byte that each character of a byte-level vocabulary stands for: printable ones for themselves, the others for
    characters from 256 on, in their order."""
    own = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(256 + number): byte for number, byte in enumerate(others)}


BYTE_OF = _byte_of()
FALLBACK = {f"<0x{byte:02X}>": byte for byte in range(256)}


def describe_tokenizer(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    description: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return description


def piece_bytes(tokenizer: PreTrainedTokenizerBase, pieces: Sequence[str]) -> list[bytes]:
    """What each piece of a BPE vocabulary is in a text. Raises UserError for one of another making."""
    tokenizer_json = describe_tokenizer(tokenizer)
    model = tokenizer_json["model"]
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise UserError(f"{tokenizer.name_or_path}: words cannot be found in the pieces of its BPE vocabulary")
    if "ByteLevel" in json.dumps([tokenizer_json["pre_tokenizer"], tokenizer_json["normalizer"]]):
        added = {token.content for token in tokenizer.added_tokens_decoder.values()}
        return [
            piece.encode() if piece in added or not BYTE_OF.keys() >= set(piece) else bytes(map(BYTE_OF.__getitem__, piece))
            for piece in pieces
        ]
    if not any(piece.startswith("▁") for piece in pieces):
        raise UserError(f"{tokenizer.name_or_path}: words cannot be found in the pieces of its BPE vocabulary")
    fallback = FALLBACK if model["byte_fallback"] else {}
    return [bytes([fallback[piece]]) if piece in fallback else piece.replace("▁", " ").encode() for piece in pieces]


@dataclass(frozen=True, slots=True)
class WordPart:
    """A part of a word that merges do not leave: its first symbols, and the one piece that it is where the vocabulary takes
    complete parts first."""

    symbols: tuple[str, ...]
    whole: str | None


class Merges:
    """The merges of a BPE tokenizer. `pieces` are its pieces, without special ones and those that stand for a byte."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._backend: Tokenizer = tokenizer.backend_tokenizer
        model = describe_tokenizer(tokenizer)["model"]
        self._ids: dict[str, int] = model["vocab"]
        pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
        self._ranks = {(first, second): rank for rank, (first, second) in enumerate(pairs)}
        self._whole_first = bool(model.get("ignore_merges"))
        special = {*tokenizer.all_special_ids}
        self.pieces = {piece: number for piece, number in self._ids.items() if number not in special and piece not in FALLBACK}
        self.parts = lru_cache(REMEMBERED)(self._parts)

    def _parts(self, text: str) -> tuple[WordPart, ...] | None:
        """Of a word as it is in the text, a blank before it where there is one; None where it cannot be spelled."""
        backend = self._backend
        normal = backend.normalizer.normalize_str(text) if backend.normalizer else text
        found = backend.pre_tokenizer.pre_tokenize_str(normal) if backend.pre_tokenizer else [(normal, (0, len(normal)))]
        parts = []
        for part, _ in found:
            symbols = tuple(symbol for character in part for symbol in self._symbols(character))
            if len(symbols) > LONGEST or not all(symbol in self._ids for symbol in symbols):
                return None
            parts.append(WordPart(symbols, part if self._whole_first and part in self._ids else None))
        return tuple(parts)

    def _symbols(self, character: str) -> list[str]:
        if character in self._ids:
            return [character]
        return [f"<0x{byte:02X}>" for byte in character.encode()]

    def draws(self, parts: Sequence[WordPart]) -> int:
        """How many numbers `cut` needs at most: one for each neighbourhood before each merge."""
        return sum(len(part.symbols) * (len(part.symbols) - 1) // 2 for part in parts)

    def cut(self, parts: Sequence[WordPart], rate: float, draws: Sequence[float]) -> tuple[int, ...]:
        """The ids of a word's pieces, each merge being left out where its number in [0, 1) is below `rate`."""
        numbers = iter(draws)
        return tuple(self._ids[piece] for part in parts for piece in self._merge_part(part, rate, numbers))

    def _merge_part(self, part: WordPart, rate: float, draws: Iterator[float]) -> list[str]:
        symbols, left_out = list(part.symbols), False
        while len(symbols) > 1:
            possible = []
            for place, pair in enumerate(pairwise(symbols)):
                dropped = next(draws) < rate
                rank = self._ranks.get(pair)
                if rank is not None:
                    left_out |= dropped
                    if not dropped:
                        possible.append((rank, place))
            if not possible:
                break
            _, place = min(possible)
            symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
        return [part.whole] if part.whole is not None and not left_out else symbols

    def producible(self, ids: set[int]) -> list[int]:
        """The pieces of the characters that those of `ids` are written with, and the bytes of characters that are no piece."""
        characters = {"▁", "Ġ"}.union(*(piece for piece, number in self.pieces.items() if number in ids))
        spelled = {self._ids[s] for character in characters for s in self._symbols(character) if s in self._ids}
        return sorted(spelled | {number for piece, number in self.pieces.items() if characters.issuperset(piece)})
