"""Mining of translation pairs from two monolingual collections. BUCC 2018.

As defined in google-research/xtreme (third_party/utils_retrieve.py; Artetxe and Schwenk 2019, arXiv 1811.01136): identical
sentences of a side are united, each side is searched for the 4 nearest of the other, and the pairs whose margin score reaches
the threshold that is best on the development set are the prediction. Vectors as in sentence retrieval: published BUCC scores
were computed with the mean over tokens of the layer that Tatoeba takes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import numpy as np
from transformers import PreTrainedTokenizerBase

from xdist.formats.examples import Sentence
from xdist.metrics import mining
from xdist.metrics.mining import MinedPair, Neighbours
from xdist.tasks.family import PreparedColumns, Row
from xdist.tasks.retrieval import Searched, sequences
from xdist.tasks.sentences import MeanPooled

SIDES = ("foreign", "english", "dev-foreign", "dev-english")


class Mining(MeanPooled):
    """A test piece holds its development set too, from which its threshold comes; a development piece tunes on itself."""

    whole: ClassVar = True
    searches = ((0, 1), (1, 0), (2, 3), (3, 2))
    k = mining.NEIGHBOURS

    def encode(
        self, examples: Iterable[tuple[str, Sentence]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> Iterator[Row]:
        """A row per distinct sentence of a side, as `mining.unite` unites them."""
        texts = ((side, text, max_length) for side, text in _united(examples))
        for number, (side, row) in enumerate(sequences(texts, tokenizer)):
            yield {"example": number, **row, "side": side}

    def language(self, row: Row, language: str) -> str:
        return self.task.written_in(language)[-1 if SIDES[row["side"]].endswith("english") else 0]

    def answers(self, scores: np.ndarray, numbers: np.ndarray, searched: Searched) -> list[np.ndarray]:
        return list(np.stack([scores, numbers], axis=1).astype(np.float64))

    def finish(
        self, predictions: Sequence[np.ndarray], rows: PreparedColumns, examples: Sequence[tuple[str, Sentence]]
    ) -> list[str]:
        """`foreign id TAB English id` per mined pair, sorted."""
        side = rows.column("side")
        tuned = 2 if (side == 2).any() else 0
        gold = {(foreign, one) for foreign, english in (_gold(tuned, examples) or {}).items() for one in english}
        threshold = mining.best_threshold(_mined(tuned, predictions, side, examples), gold)
        pairs = mining.extract(_mined(0, predictions, side, examples), threshold)
        return sorted("\t".join(pair) for pair in pairs)

    def gold(self, examples: Sequence[tuple[str, Sentence]]) -> dict[str, list[str]] | None:
        """The English ids of each foreign sentence of the test set, by its id."""
        return _gold(0, examples) or None


def _united(examples: Iterable[tuple[str, Sentence]]) -> Iterator[tuple[int, str]]:
    seen: set[tuple[str, str]] = set()
    for side, sentence in examples:
        if (side, sentence.text) not in seen:
            seen.add((side, sentence.text))
            yield SIDES.index(side), sentence.text


def _mined(
    first: int, predictions: Sequence[np.ndarray], side: np.ndarray, examples: Sequence[tuple[str, Sentence]]
) -> list[tuple[float, MinedPair]]:
    """The candidates between side `first` (foreign) and the one after it, with their scores."""
    neighbours, ids = [], []
    for own, other in ((first, first + 1), (first + 1, first)):
        places = np.flatnonzero(side == own)
        found = np.stack([predictions[place] for place in places.tolist()])  # (n, 2, k)
        begin = int(np.flatnonzero(side == other)[0])
        k = min(found.shape[2], int((side == other).sum()))
        neighbours.append(Neighbours(found[:, 0, :k], found[:, 1, :k].astype(np.int64) - begin))
        sentences = [sentence for name, sentence in examples if name == SIDES[own]]
        ids.append(mining.unique_ids([sentence.text for sentence in sentences], [sentence.id for sentence in sentences]))
    return mining.identify(mining.mine(*neighbours), *ids)


def _gold(first: int, examples: Sequence[tuple[str, Sentence]]) -> dict[str, list[str]] | None:
    foreign = [sentence for name, sentence in examples if name == SIDES[first]]
    if any(sentence.gold is None for sentence in foreign):
        return None
    return {sentence.id: (sentence.gold or "").split() for sentence in foreign}
