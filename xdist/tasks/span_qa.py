"""Span question answering: the start and end of the answer in its context. SQuAD, XQuAD, MLQA, TyDiQA.

A context that is too long is read in overlapping windows, each with the question before it (third_party/run_squad.py and
utils_squad.py of google-research/xtreme): at most 384 tokens, 64 of them the question's, the next window 128 context tokens
further on. In training a window without the answer points at its first token. In prediction a span starts in the window that
gives its first token the most context; the best span over all windows of a question wins.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from xdist.config.evaluate import Evaluate
from xdist.errors import UserError
from xdist.formats.examples import Question
from xdist.tasks.batch import Batch
from xdist.tasks.catalog import Task
from xdist.tasks.family import Family, PreparedColumns, Row
from xdist.tasks.official_answers import official_answer
from xdist.tasks.rewritten import Rewritten
from xdist.tasks.segments import log_softmax
from xdist.tasks.special_tokens import around_pair

QUESTION = 64  # tokens of a question
STRIDE = 128  # context tokens from one window to the next
ANSWER = 30  # tokens of an answer
BEST = 20  # candidates for the start, for the end, and for the span


class SpanQA(Family):
    columns: ClassVar = {
        "context": pa.int32(),  # position in the row of the first context token
        "first": pa.int32(),  # answers of this window start at positions first ...
        "last": pa.int32(),  # ... to last - 1: the tokens that have their widest context here
        "begins": pa.list_(pa.int32()),  # per context token, where it begins in the context, in characters ...
        "ends": pa.list_(pa.int32()),  # ... and where it ends
        "start": pa.int32(),  # position of the answer's first token; 0 if it is not in this window; -1 without gold
        "end": pa.int32(),  # of its last token
    }
    pairs: ClassVar = True
    by_position: ClassVar = True

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._official: PreTrainedTokenizerBase | None = None

    def finish_as(self, how: Evaluate, tokenizer: PreTrainedTokenizerBase | None) -> None:
        self._official = tokenizer if how.answers == "official" else None

    def encode(self, examples: Iterable[Question], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Iterator[Row]:
        """A row per window. `cut` of a question's first row counts the question's own tokens that were left out."""
        if not tokenizer.is_fast:
            raise UserError(f"{tokenizer.name_or_path}: its tokenizer does not give the offsets of pieces: no span QA")
        before, between, after = around_pair(tokenizer)
        specials = len(before) + len(between) + len(after)
        if max_length < specials + 2:
            raise UserError(f"data.max_length={max_length}: a question and its context need at least {specials + 2} tokens")
        source = iter(examples)
        number = 0
        options = {"add_special_tokens": False, "return_attention_mask": False, "verbose": False}
        while chunk := list(islice(source, 1000)):
            asked = tokenizer([example.question for example in chunk], **options)["input_ids"]
            texts = list(dict.fromkeys(example.context for example in chunk))
            encoded = tokenizer(texts, return_offsets_mapping=True, **options)
            offsets = [np.array(part, np.int32).reshape(-1, 2) for part in encoded["offset_mapping"]]
            contexts = dict(zip(texts, zip(encoded["input_ids"], offsets, strict=True), strict=True))
            for example, whole in zip(chunk, asked, strict=True):
                question = whole[: min(QUESTION, (max_length - specials) // 2)]
                head = [*before, *question, *between]
                tokens, offset = contexts[example.context]
                answer = _answer(example, offset)
                for place, (low, high, first, last) in enumerate(windows(len(tokens), max_length - len(head) - len(after))):
                    row = [*head, *tokens[low:high], *after]
                    yield {
                        "example": number,
                        "tokens": row,
                        "lengths": [len(row)],
                        "cut": 0 if place else len(whole) - len(question),
                        "context": len(head),
                        "first": len(head) + first - low,
                        "last": len(head) + last - low,
                        "begins": offset[low:high, 0],
                        "ends": offset[low:high, 1],
                        **_target(example, answer, low, high, len(head)),
                    }
                number += 1

    def fixed(self, row: Row) -> np.ndarray:
        """The answer, and the last token of a window, which may be the beginning of a word that continues in the next."""
        answer = np.arange(row["start"], row["end"] + 1) if row["start"] > 0 else np.zeros(0, np.int64)
        return np.append(answer, row["context"] + len(row["begins"]) - 1)

    def continued(self, row: Row) -> int | None:
        return int(row["context"]) if len(row["begins"]) and row["begins"][0] > 0 else None

    def moved(self, row: Row, new: Rewritten) -> Row:
        """Every new token of a replaced word has the characters of the old word."""
        context, length = int(row["context"]), len(row["begins"])
        low, high = (new.sources[new.places[context] : new.places[context + length]] - context).T
        whole = {name: new.places[row[name]] for name in ("context", "first", "last")}
        answer = {name: new.places[row[name]] if row[name] > 0 else row[name] for name in ("start", "end")}
        characters = {"begins": row["begins"][low], "ends": row["ends"][high - 1]}
        return {**super().moved(row, new), **whole, **characters, **answer}

    def targets(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        starts = np.cumsum([0, *(len(row["tokens"]) for row in rows)])[:-1]
        window = [[row["context"], row["first"], row["last"], len(row["begins"])] for row in rows]
        characters = np.stack([np.concatenate([row[name] for row in rows]) for name in ("begins", "ends")], axis=1)
        gold = np.array([[row["start"], row["end"]] for row in rows]) + starts[:, None]
        shared = {}
        if "shared" in rows[0]:
            places = np.concatenate([row["shared"] + start for row, start in zip(rows, starts, strict=True)])
            shared["shared"] = torch.from_numpy(places.astype(np.int64))  # (n,), as many as its counterpart has
        return {
            **shared,
            "window": torch.from_numpy(np.array(window, np.int64)),  # (R, 4)
            "characters": torch.from_numpy(characters.astype(np.int64)),  # (context tokens of all rows, 2)
            "gold": torch.from_numpy(gold.astype(np.int64)),  # (R, 2) positions in the batch
        }

    def head(self, width: int, dropout: float) -> nn.Module:
        return nn.Linear(width, 2)

    def select(self, batch: Batch) -> Tensor:
        return torch.arange(len(batch.tokens), device=batch.tokens.device)

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Per window the mean of the cross-entropies of start and end over all its tokens; `outputs` is (T, 2)."""
        logits = log_softmax(outputs.float(), batch.token_row, len(batch.row_ids))
        return -logits.gather(0, batch.targets["gold"]).mean(-1)

    def log_probabilities(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(T, 2): of start and end, over the tokens of each window; with `shared` over those positions of it alone."""
        shared = batch.targets.get("shared")
        rows = batch.token_row
        if shared is not None:
            outputs, rows = outputs[shared], rows[shared]
        return log_softmax(outputs.float(), rows, len(batch.row_ids))

    def predict(self, outputs: Tensor, batch: Batch) -> list[np.ndarray]:
        """Per window its best legal spans, best first, at most 20: (n, 3) score, first character, character after the last."""
        scores = outputs.float().cpu().split(batch.lengths.tolist())
        windows = batch.targets["window"].cpu().numpy()
        characters = batch.targets["characters"].cpu().split(windows[:, 3].tolist())
        return [
            best_spans(score.numpy(), window, character.numpy())
            for score, window, character in zip(scores, windows, characters, strict=True)
        ]

    def finish(self, predictions: Sequence[np.ndarray], rows: PreparedColumns, examples: Sequence[Question]) -> dict[str, str]:
        """The answer to each question by its id; empty where no window has a legal span."""
        best: dict[int, np.ndarray] = {}
        found_in: dict[int, int] = {}
        for number, (example, spans) in enumerate(zip(rows.column("example").tolist(), predictions, strict=True)):
            if len(spans) and (example not in best or spans[0, 0] > best[example][0]):
                best[example], found_in[example] = spans[0], number
        answers = {}
        for number, example in enumerate(examples):
            _, low, high = best.get(number, (0, 0, 0))
            begin, end = int(low), int(high)
            # Pieces of Gemma and Llama hold the blank before them.
            answers[example.key] = example.context[begin:end].lstrip()
            if self._official and number in best:
                pieces = _written(rows.row(found_in[number]), begin, end, self._official)
                answers[example.key] = official_answer(example.context, begin, end, pieces)
        return answers

    def gold(self, examples: Sequence[Question]) -> dict[str, list[str]] | None:
        asked = (example for example in examples if example.answers is not None)
        return {example.key: [answer.text for answer in example.answers or ()] for example in asked} or None


def _written(row: Row, begin: int, end: int, tokenizer: PreTrainedTokenizerBase) -> str:
    """How the tokenizer writes the pieces of the characters `begin` to `end` - 1 of the context."""
    first = int(np.argmax(np.asarray(row["begins"]) == begin))
    # The last piece with this end, since argmax finds the first.
    last = len(row["ends"]) - 1 - int(np.argmax(np.asarray(row["ends"])[::-1] == end))
    tokens = row["tokens"][row["context"] + first : row["context"] + last + 1]
    return tokenizer.convert_tokens_to_string([str(tokenizer.convert_ids_to_tokens(int(token))) for token in tokens])


def best_spans(scores: np.ndarray, window: np.ndarray, characters: np.ndarray) -> np.ndarray:
    """The best legal spans among the 20 best starts and the 20 best ends of a window, as `SpanQA.predict` gives them.

    `scores` is (tokens, 2); `window` holds the position of the first context token, the range of legal starts, and the number
    of context tokens; `characters` is (context tokens, 2). Equal scores: the earlier start, then the earlier end, comes first.
    """
    context, first, last, length = window
    best = np.sort(np.argsort(-scores, axis=0, kind="stable")[:BEST], axis=0)
    starts, ends = best[:, 0], best[:, 1]
    starts = starts[(starts >= first) & (starts < last)]
    ends = ends[(ends >= context) & (ends < context + length)]
    tokens = ends[None, :] - starts[:, None] + 1
    start, end = np.nonzero((tokens >= 1) & (tokens <= ANSWER))
    total = scores[starts[start], 0] + scores[ends[end], 1]
    order = np.argsort(-total, kind="stable")[:BEST]
    begins = characters[starts[start[order]] - context, 0]
    return np.stack([total[order].astype(np.float64), begins, characters[ends[end[order]] - context, 1]], axis=1)


def windows(tokens: int, room: int) -> list[tuple[int, int, int, int]]:
    """(low, high, first, last) of each window over a context: it holds tokens low to high - 1; of these, first to last - 1 have
    their widest context here. The width of a token's context is the number of tokens on its shorter side plus a hundredth of
    the window's length, and the first of equal windows has it, as officially."""
    lows = [0]
    while lows[-1] + room < tokens:
        lows.append(lows[-1] + min(STRIDE, room))
    low = np.array(lows)[:, None]
    high = np.minimum(low + room, tokens)
    place = np.arange(tokens)
    width = np.minimum(place - low, high - 1 - place) + 0.01 * (high - low)
    owner = np.where((place >= low) & (place < high), width, -1.0).argmax(0) if tokens else place
    bounds = np.searchsorted(owner, np.arange(len(lows) + 1))  # a token's owner never goes back, so each owns one range
    return [(int(low[n, 0]), int(high[n, 0]), int(bounds[n]), int(bounds[n + 1])) for n in range(len(lows))]


def _answer(example: Question, offset: np.ndarray) -> tuple[int, int] | None:
    """The first and last context token that share a character with the first gold answer; None where there is none."""
    if not example.answers:
        return None
    begin = example.answers[0].start
    end = begin + len(example.answers[0].text)
    first = int(np.searchsorted(offset[:, 1], begin, side="right"))
    last = int(np.searchsorted(offset[:, 0], end, side="left")) - 1
    return (first, last) if first <= last else None


def _target(example: Question, answer: tuple[int, int] | None, low: int, high: int, shift: int) -> dict[str, int]:
    if example.answers is None:
        return {"start": -1, "end": -1}
    if answer is None or answer[0] < low or answer[1] >= high:
        return {"start": 0, "end": 0}
    return {"start": shift + answer[0] - low, "end": shift + answer[1] - low}
