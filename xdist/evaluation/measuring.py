"""How a tokenizer takes the texts of a test set: what it does not know, how finely it cuts, and what it writes otherwise.

Unknown: pieces that stand for what the vocabulary has not, those of single bytes, and those of a part of a character.
Units are words, parted by blanks; in scripts that put none between words, letters and digits. Changed: rows that the Unicode
normal form of the tokenizer writes otherwise (NFC where it has none).
"""

import unicodedata
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from typing import Any, Literal

from tokenizers.models import BPE
from transformers import PreTrainedTokenizerBase

from xdist.errors import UserError
from xdist.formats.examples import Choice, Classified, Line, Passage, Query, Question, Sentence, Tagged
from xdist.formats.gold import BESIDE
from xdist.languages import find_language
from xdist.robust.bpe import FALLBACK, piece_bytes

ROWS = 1000  # the first examples of a test set; more would change the figures little
SLOW_ROWS = 200  # for a tokenizer written in Python (XLM's)
UNPARTED = ("Hans", "Hant", "Hani", "Jpan", "Hira", "Kana", "Thai", "Laoo", "Khmr", "Mymr", "Tibt", "Lana", "Tale", "Talu")
BATCH = 256


class Measuring:
    """Of one tokenizer, for any test sets."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    def __call__(self, examples: Iterable[Any], *languages: str) -> dict[str, Any]:
        """The counts of a test set whose texts are in these: `rows`, `pieces`, `unknown` of them, `units` of the kind `per`,
        rows `changed` by the `form`, and whether the tokenizer normalises texts to that form (`applied`)."""
        rows = (" ".join(_texts(example)) for example in examples)
        texts = list(islice(filter(None, rows), ROWS if self.tokenizer.is_fast else SLOW_ROWS))
        whole = all(one is None or one.script not in UNPARTED for one in map(find_language, languages))
        pieces = unknown = 0
        for start in range(0, len(texts), BATCH):
            for ids in self._encoded(texts[start : start + BATCH]):
                pieces += len(ids)
                unknown += sum(number in self._unknown for number in ids)
        form, applied = self._form
        return {
            "rows": len(texts),
            "pieces": pieces,
            "unknown": unknown,
            "units": sum(len(text.split()) if whole else sum(map(_counts, text)) for text in texts),
            "per": "word" if whole else "character",
            "changed": sum(not unicodedata.is_normalized(form, text) for text in texts),
            "form": form,
            "applied": applied,
        }

    def _encoded(self, texts: list[str]) -> list[list[int]]:
        found: list[list[int]] = self.tokenizer(
            texts, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False, verbose=False
        )["input_ids"]
        return found

    @cached_property
    def _unknown(self) -> set[int]:
        vocabulary = self.tokenizer.get_vocab()
        found = {number for piece, number in vocabulary.items() if piece in FALLBACK}
        if self.tokenizer.unk_token_id is not None:
            found.add(self.tokenizer.unk_token_id)
        if self.tokenizer.is_fast and isinstance(self.tokenizer.backend_tokenizer.model, BPE):
            try:
                said = zip(vocabulary.values(), piece_bytes(self.tokenizer, list(vocabulary)), strict=True)
                found |= {number for number, data in said if not _is_whole(data)}
            except (UserError, LookupError):  # no pieces of bytes
                pass
        return found

    @cached_property
    def _form(self) -> tuple[Literal["NFC", "NFKC"], bool]:
        def normalise(text: str) -> str:
            if not self.tokenizer.is_fast:
                return "".join(self.tokenizer.tokenize(text))
            normalizer = self.tokenizer.backend_tokenizer.normalizer
            return normalizer.normalize_str(text) if normalizer else text

        composed = normalise("\u00e9") == normalise("e\u0301")
        if composed and "fi" in normalise("\ufb01"):
            return "NFKC", True
        return "NFC", composed


def _texts(example: Any) -> Iterator[str]:
    match example:
        case Classified(texts=texts):
            yield from texts
        case Choice(prompt=prompt, options=options):
            yield from (prompt, *options)
        case Tagged(words=words):
            yield from words
        case Question(question=question, context=context):
            yield from (question, context)
        case Passage(text=text, context=context):
            yield from (text, context) if context else (text,)
        case Sentence(text=text) | Query(text=text) | Line(text=text):
            yield text
        case (str() as side, _) if side.endswith("english") or side.startswith(BESIDE):
            return  # the other side of a parallel set, or its development set
        case tuple():
            for part in example:
                yield from () if isinstance(part, str) else _texts(part)


def _counts(character: str) -> bool:
    return unicodedata.category(character)[0] in "LN"


def _is_whole(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
