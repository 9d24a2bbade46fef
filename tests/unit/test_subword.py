"""Sub-word sampling against all segmentations of short words, listed by brute force."""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_benchmark, tiny_model
from tiny_words import WORDS, pair_rows, words_tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xdist.errors import UserError
from xdist.robust.lattice import BestSampler, Lattice, Sampler, best_segmentations
from xdist.robust.subword import Segmenter

PIECES = {"a": (0, -1.0), "b": (1, -1.5), "c": (2, -2.0), "ab": (3, -2.2), "bc": (4, -2.6), "abc": (5, -3.9), "ca": (6, -3.0)}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return words_tokenizer(tmp_path_factory.mktemp("subword") / "tokenizer")


def all_of(word: str, pieces: dict[str, tuple[int, float]]) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Every segmentation with its log-probability."""
    if not word:
        yield 0.0, ()
    for end in range(1, len(word) + 1):
        if word[:end] in pieces:
            number, score = pieces[word[:end]]
            yield from ((score + rest, (number, *others)) for rest, others in all_of(word[end:], pieces))


def probabilities(word: str, pieces: dict[str, tuple[int, float]], alpha: float) -> dict[tuple[int, ...], float]:
    weights = {segmentation: math.exp(alpha * score) for score, segmentation in all_of(word, pieces)}
    return {segmentation: weight / sum(weights.values()) for segmentation, weight in weights.items()}


def exact(sampler: Sampler) -> dict[tuple[int, ...], float]:
    """The probability of every segmentation that a sampler can give, from its own tables."""

    def ways(end: int) -> Iterator[tuple[float, tuple[int, ...]]]:
        if end == 0:
            yield 1.0, ()
            return
        edges, cumulative = sampler.choices[end]
        for (begin, piece, _), share in zip(edges, np.diff([0.0, *cumulative]), strict=True):
            yield from ((float(share) * rest, (*others, piece)) for rest, others in ways(begin))

    return {segmentation: share for share, segmentation in ways(len(sampler.choices) - 1)}


@given(st.text("abc", min_size=1, max_size=8), st.floats(0, 4))
def test_the_lattice_has_the_exact_probabilities(word: str, alpha: float) -> None:
    expected = probabilities(word, PIECES, alpha)
    found = exact(Sampler(Lattice.of(word, PIECES, 3), alpha))
    assert found.keys() == expected.keys()
    assert all(found[one] == pytest.approx(share, rel=1e-9, abs=1e-12) for one, share in expected.items())


@given(st.text("abc", min_size=1, max_size=8), st.integers(1, 12))
def test_the_best_are_the_best(word: str, count: int) -> None:
    expected = sorted((score for score, _ in all_of(word, PIECES)), reverse=True)[:count]
    found = best_segmentations(Lattice.of(word, PIECES, 3), count)
    assert [score for score, _ in found] == pytest.approx(expected)
    assert len({segmentation for _, segmentation in found}) == len(found)


@pytest.mark.parametrize("nbest", [-1, 3])
def test_draws_come_as_often_as_they_should(nbest: int) -> None:
    word, alpha, count = "abcab", 0.7, 6000
    lattice = Lattice.of(word, PIECES, 3)
    expected = probabilities(word, PIECES, alpha)
    if nbest > 0:
        kept = {segmentation for _, segmentation in best_segmentations(lattice, nbest)}
        total = sum(expected[one] for one in kept)
        expected = {one: expected[one] / total for one in kept}
    sampler = Sampler(lattice, alpha) if nbest < 0 else BestSampler(lattice, alpha, nbest)
    draws = np.random.default_rng(3).random((count, len(word)))
    seen = Counter(sampler(draw.tolist()) for draw in draws)
    assert seen.keys() <= expected.keys()
    chi_square = sum((seen[one] - count * share) ** 2 / (count * share) for one, share in expected.items())
    freedom = len(expected) - 1
    assert chi_square < freedom + 4 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("nbest", [-1, 5])
def test_a_large_alpha_is_the_tokenizers_own_segmentation(tokenizer: PreTrainedTokenizerBase, nbest: int) -> None:
    family, rows = pair_rows([(" ".join(WORDS), "not so good (film) U.S.")], tokenizer)
    method = Segmenter(tokenizer, seed=1, stream=0, probability=1, alpha=1e6, nbest=nbest)
    for row in rows:
        after = method.rewrite(row, family, "en", 0, 0)
        assert (after["words_changed"], after["words_too_long"]) == (0, 0)
        assert after["words_seen"] == len(WORDS) + 5
        assert after["tokens"].tolist() == row["tokens"].tolist()


def test_other_pieces_same_text(tokenizer: PreTrainedTokenizerBase) -> None:
    family, (row,) = pair_rows([("the good film was not bad", "a fine movie")], tokenizer)
    method = Segmenter(tokenizer, seed=1, stream=0, probability=0.5, alpha=0.2)
    looks = [method.rewrite(row, family, "de", 4, epoch) for epoch in range(60)]
    texts = {tokenizer.decode(look["tokens"]) for look in looks}
    assert texts == {tokenizer.decode(row["tokens"])}
    assert len({tuple(look["tokens"].tolist()) for look in looks}) > 50
    again = method.rewrite(row, family, "de", 4, 7)
    assert again["tokens"].tolist() == looks[7]["tokens"].tolist()
    none = Segmenter(tokenizer, seed=1, stream=0, probability=0).rewrite(row, family, "en", 4, 0)
    assert none["words_changed"] == 0
    assert none["tokens"] is row["tokens"]


def test_draws_of_a_row_have_the_lattices_frequencies(tokenizer: PreTrainedTokenizerBase) -> None:
    """Through rows, epochs and the row's random numbers; each place of the word is independent of the others."""
    family, (row,) = pair_rows([("good good", "good")], tokenizer)
    method = Segmenter(tokenizer, seed=9, stream=2, probability=1, alpha=0.5)
    expected = probabilities("▁good", method.cutter.pieces, 0.5)
    low = {number: score for number, score in ((one, share) for one, share in expected.items()) if score < 0.01}
    seen: Counter[tuple[int, ...]] = Counter()
    count = 1500
    for epoch in range(count):
        after = method.rewrite(row, family, "en", 3, epoch)
        words = method.vocabulary.words(after, family)
        seen.update(tuple(after["tokens"][a:b].tolist()) for a, b in zip(words.low, words.high, strict=True))
    total = 3 * count
    assert sum(seen.values()) == total
    for one in expected.keys() - low.keys():
        assert seen[one] == pytest.approx(total * expected[one], abs=5 * math.sqrt(total * expected[one]))


def test_word_piece_vocabularies_are_refused(tmp_path: Path) -> None:
    tiny_model(tmp_path / "encoder", tiny_benchmark(tmp_path / "benchmark"), kind="bert")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "encoder")
    with pytest.raises(UserError, match="sub-word sampling needs a Unigram or BPE vocabulary, this one is WordPiece"):
        Segmenter(tokenizer, seed=1, stream=0)
