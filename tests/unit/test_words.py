"""Words of token rows: grouped as white space groups the text, replaced as if the text had been tokenised again."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_benchmark, tiny_model
from tiny_words import WORDS, arrays, pair_rows, words_tokenizer
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from xdist.errors import UserError
from xdist.formats.examples import Choice
from xdist.robust.words import WordPieces
from xdist.tasks.catalog import task
from xdist.tasks.choice import MultipleChoice
from xdist.tasks.rewritten import rewritten

sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return words_tokenizer(tmp_path_factory.mktemp("words") / "tokenizer")


@pytest.fixture(scope="module")
def vocabulary(tokenizer: PreTrainedTokenizerBase) -> WordPieces:
    return WordPieces(tokenizer)


@given(st.data())
def test_words_are_those_of_the_text_and_replacing_is_tokenising_anew(
    tokenizer: PreTrainedTokenizerBase, vocabulary: WordPieces, data: st.DataObject
) -> None:
    first, second = data.draw(sentences), data.draw(sentences)
    family, (row,) = pair_rows([(" ".join(first), " ".join(second))], tokenizer)
    words = vocabulary.words(row, family)
    pieces = [tuple(row["tokens"][low:high].tolist()) for low, high in zip(words.low, words.high, strict=True)]
    assert [vocabulary.text(piece) for piece in pieces] == first + second
    assert words.text.tolist() == [0] * len(first) + [1] * len(second)
    assert words.free.all()
    assert words.index.tolist() == list(range(len(pieces)))
    assert pieces == [vocabulary.encode(word, True) for word in first + second]

    texts = first + second
    chosen = data.draw(
        st.dictionaries(st.integers(0, len(texts) - 1), st.lists(st.sampled_from(WORDS), min_size=1, max_size=3))
    )
    new = {place: vocabulary.encode(" ".join(others), False) for place, others in chosen.items()}
    spans = list(zip(words.low.tolist(), words.high.tolist(), strict=True))
    after = rewritten(row["tokens"].tolist(), row["lengths"].tolist(), spans, new)  # type: ignore[arg-type]
    said = [" ".join(chosen.get(place, [word])) for place, word in enumerate(texts)]
    _, (expected,) = pair_rows([(" ".join(said[: len(first)]), " ".join(said[len(first) :]))], tokenizer, 512)
    assert after.tokens.tolist() == expected["tokens"].tolist()
    assert after.lengths.tolist() == expected["lengths"].tolist()

    # Where the tokens went, token by token.
    size = len(row["tokens"])
    changed = {place for word in new for place in range(*spans[word])}
    assert after.places[0] == 0
    assert after.places[size] == len(after.tokens)
    assert (np.diff(after.places) >= 0).all()
    for place in range(size):
        if place not in changed:
            assert after.tokens[after.places[place]] == row["tokens"][place]
            assert after.sources[after.places[place]].tolist() == [place, place + 1]
            assert after.shared[place]
    for word, ids in new.items():
        low, high = spans[word]
        here = after.places[low]
        assert after.tokens[here : here + len(ids)].tolist() == list(ids)  # type: ignore[arg-type]
        assert (after.sources[here : here + len(ids)] == (low, high)).all()  # type: ignore[arg-type]
        assert after.shared[low:high].tolist() == [True] + [False] * (high - low - 1)
        assert ((here <= after.places[low:high]) & (after.places[low:high] < here + len(ids))).all()  # type: ignore[arg-type]


def test_two_sequences_change_their_own_lengths() -> None:
    after = rewritten([0, 5, 6, 2, 0, 7, 2], [4, 3], [(1, 3), (5, 6)], {0: (9,), 1: (8, 8, 8)})
    assert after.tokens.tolist() == [0, 9, 2, 0, 8, 8, 8, 2]
    assert after.lengths.tolist() == [3, 5]
    assert after.places.tolist() == [0, 1, 1, 2, 3, 4, 7, 8]


def test_a_word_that_is_not_whole_stays(tokenizer: PreTrainedTokenizerBase, vocabulary: WordPieces) -> None:
    family, (row, strange) = pair_rows([("good film", "bad film"), ("good Ω film", "bad xΩ")], tokenizer)
    assert vocabulary.words({**row, "cut": 3}, family).free.tolist() == [True, False, True, False]
    words = vocabulary.words(row, family)
    behind = {**row, "tokens": np.delete(row["tokens"], words.low[0])}  # a row that begins in the middle of a word
    if words.high[0] - words.low[0] > 1:
        assert vocabulary.words(behind, family).free.tolist() == [False, True, True, True]
    assert (strange["tokens"] == tokenizer.unk_token_id).sum() == 2
    assert vocabulary.words(strange, family).free.tolist() == [True, False, True, True, False]


def test_nothing_to_spell_is_no_replacement(vocabulary: WordPieces) -> None:
    assert vocabulary.encode("  ", False) is None
    assert vocabulary.encode("Ω", False) is None
    assert vocabulary.encode("not good", True) is None
    assert vocabulary.encode("not good", False) is not None


def test_options_number_the_words_of_their_prompt_alike(tokenizer: PreTrainedTokenizerBase, vocabulary: WordPieces) -> None:
    family = MultipleChoice(task("copa"))
    (row,) = arrays(family.encode([Choice(prompt="good film", options=("bad", "was not bad"), label=0)], tokenizer, 128))
    words = vocabulary.words(row, family)
    assert words.index.tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    assert words.text.tolist() == [0, 0, 1, 0, 0, 1, 1, 1]


def test_word_piece_words_and_marks(tmp_path: Path) -> None:
    tiny_model(tmp_path / "encoder", tiny_benchmark(tmp_path / "benchmark"), kind="bert")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "encoder")
    vocabulary = WordPieces(tokenizer)
    family, (row,) = pair_rows([("Peru and Perude Ω", "Kenya")], tokenizer)
    words = vocabulary.words(row, family)
    texts = [vocabulary.text(row["tokens"][low:high].tolist()) for low, high in zip(words.low, words.high, strict=True)]
    assert texts == ["Peru", "and", "Perude", "[UNK]", "Kenya"]
    assert words.free.tolist() == [True, True, True, False, True]
    assert words.text.tolist() == [0, 0, 0, 0, 1]


def test_a_vocabulary_that_does_not_show_words_is_refused() -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE({"a": 0}, [])))
    with pytest.raises(UserError, match="words cannot be found in the pieces of its BPE vocabulary"):
        WordPieces(tokenizer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0})))
    said = r"words cannot be found in the pieces of a WordLevel vocabulary \(valid: BPE, Unigram, WordPiece\)"
    with pytest.raises(UserError, match=said):
        WordPieces(tokenizer)
