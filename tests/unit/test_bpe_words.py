"""Words of rows of BPE tokenizers: found by white space, replaced as if the text had been tokenised again, cut by
BPE-dropout."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_bpe import byte_level, gemma_like, llama2_like, llama3_like
from tiny_words import SYNONYMS, WORDS, arrays, pair_rows
from transformers import PreTrainedTokenizerBase

from xdist.errors import UserError
from xdist.formats.examples import Answer, Choice, Question, Tagged
from xdist.robust.bpe import Merges
from xdist.robust.code_switch import CodeSwitcher
from xdist.robust.substitution import Substituter
from xdist.robust.subword import Segmenter
from xdist.robust.words import WordPieces
from xdist.tasks.catalog import task
from xdist.tasks.choice import MultipleChoice
from xdist.tasks.rewritten import rewritten
from xdist.tasks.span_qa import SpanQA
from xdist.tasks.tagging import Tagging

LEARNT = [*WORDS, "né", "日本語", "don't", "1984", "good-looking"]
TEXTS = [" ".join(LEARNT)] * 20
MAKERS: dict[str, Callable[..., PreTrainedTokenizerBase]] = {
    "gemma": partial(gemma_like, TEXTS, 200),
    "llama 2": partial(llama2_like, TEXTS, 200, "<s> $A </s>"),
    "llama 3": partial(llama3_like, TEXTS, 200),
    "byte-level": partial(byte_level, TEXTS, 200),
    "byte-level with a first blank": partial(byte_level, TEXTS, 200, prefix=True),
}
MADE = {kind: maker() for kind, maker in MAKERS.items()}
VOCABULARIES = {kind: WordPieces(tokenizer) for kind, tokenizer in MADE.items()}
kinds = pytest.mark.parametrize("kind", MAKERS)
sentences = st.lists(st.sampled_from([*LEARNT, "ΩÆ", "x…y"]), min_size=1, max_size=6)


@kinds
@given(data=st.data())
def test_replacing_is_tokenising_anew(kind: str, data: st.DataObject) -> None:
    tokenizer, vocabulary = MADE[kind], VOCABULARIES[kind]
    first, second = data.draw(sentences), data.draw(sentences)
    family, (row,) = pair_rows([(" ".join(first), " ".join(second))], tokenizer)
    words = vocabulary.words(row, family)
    pieces = [tuple(row["tokens"][low:high].tolist()) for low, high in zip(words.low, words.high, strict=True)]
    assert [vocabulary.text(piece) for piece in pieces] == first + second
    assert words.text.tolist() == [0] * len(first) + [1] * len(second)
    assert words.free.all()
    said = first + second
    chosen = data.draw(st.dictionaries(st.integers(0, len(said) - 1), sentences.map(" ".join)))
    new = {place: vocabulary.encode(text, False, vocabulary.after_blank(pieces[place])) for place, text in chosen.items()}
    spans = list(zip(words.low.tolist(), words.high.tolist(), strict=True))
    after = rewritten(row["tokens"].tolist(), row["lengths"].tolist(), spans, new)  # type: ignore[arg-type]
    said = [chosen.get(place, word) for place, word in enumerate(said)]
    _, (expected,) = pair_rows([(" ".join(said[: len(first)]), " ".join(said[len(first) :]))], tokenizer, 512)
    assert after.tokens.tolist() == expected["tokens"].tolist()
    assert vocabulary.encode("not good", True) is None


@kinds
def test_words_that_cannot_be_replaced(kind: str) -> None:
    tokenizer, vocabulary = MADE[kind], VOCABULARIES[kind]
    family, (row,) = pair_rows([("good  film\nbad", "not\u00a0so gut")], tokenizer)
    words = vocabulary.words(row, family)
    texts = [vocabulary.text(tuple(row["tokens"][a:b].tolist())) for a, b in zip(words.low, words.high, strict=True)]
    free = {text for text, one in zip(texts, words.free, strict=True) if one}
    assert free <= {"good", "film", "not\u00a0so", "gut"}  # a line's end is no blank
    assert {"good", "gut"} <= free
    assert not vocabulary.words({**row, "cut": 3}, family).free[-1]


@kinds
def test_two_words_in_one_piece_stay(kind: str) -> None:
    tokenizer, vocabulary = MADE[kind], VOCABULARIES[kind]
    family = Tagging(task("udpos"))
    family.joining = "text"
    example = Tagged(words=("the", "fi", "lm", "bon"), tags=("X",) * 4, glued=(False, True, False, False))
    (row,) = arrays(family.encode([example], tokenizer, 64))
    words = vocabulary.words(row, family)
    assert len(set(row["words"].tolist())) == 3
    assert words.free.tolist() == [True, False, True]


@kinds
def test_a_window_may_begin_inside_a_word(kind: str) -> None:
    tokenizer, vocabulary = MADE[kind], VOCABULARIES[kind]
    family = SpanQA(task("squad"))
    context = "日本語good-lookingΩΩΩ" * 12
    rows = arrays(family.encode([Question(key="a", id="a", question="so", context=context, answers=())], tokenizer, 40))
    assert len(rows) > 2
    for row in rows[1:]:
        assert not vocabulary.words(row, family).free[1:].any()


@kinds
def test_options_number_the_words_of_their_prompt_alike(kind: str) -> None:
    family = MultipleChoice(task("copa"))
    example = Choice(prompt="good film", options=("bad", "was not bad"), label=0)
    (row,) = arrays(family.encode([example], MADE[kind], 128))
    words = VOCABULARIES[kind].words(row, family)
    assert words.index.tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    assert words.text.tolist() == [0, 0, 1, 0, 0, 1, 1, 1]


# --- methods -------------------------------------------------------------------------------------------------------------
@kinds
def test_substitution_and_code_switching(kind: str, tmp_path: Path) -> None:
    tokenizer = MADE[kind]
    (tmp_path / "synonyms.json").write_text(json.dumps(SYNONYMS))
    (tmp_path / "en-de.txt").write_text("good gut\nthe la\nbad schön\n")
    for method, changed in (
        (Substituter(tokenizer, tmp_path / "synonyms.json", seed=3, stream=0), {"good", "bad", "film", "not"}),
        (CodeSwitcher(tokenizer, tmp_path, languages=("de",), probability=0.5, seed=3, stream=0), {"good", "the", "bad"}),
    ):
        family, (row,) = pair_rows([("good film the is", "bad not good")], tokenizer)
        before = ["good", "film", "the", "is", "bad", "not", "good"]
        seen = set()
        for epoch in range(60):
            after = method.rewrite(row, family, "en", 5, epoch)
            now = tokenizer.decode(after["tokens"], skip_special_tokens=False)
            for token in (*tokenizer.all_special_tokens, "not at all"):
                now = now.replace(token, "nota" if token == "not at all" else " ")
            _, (anew,) = pair_rows([_two(tokenizer, after["tokens"])], tokenizer, 512)
            assert after["tokens"].tolist() == anew["tokens"].tolist()
            assert len(now.split()) == len(before)
            seen |= {old for old, word in zip(before, now.split(), strict=True) if old != word}
        again = method.rewrite(row, family, "en", 5, 7)["tokens"].tolist()
        assert again == method.rewrite(row, family, "en", 5, 7)["tokens"].tolist()
        assert seen == changed
        produced = method.produces(np.unique(row["tokens"]))
        assert produced is not None
        assert set(after["tokens"].tolist()) <= set(produced.tolist())


def _two(tokenizer: PreTrainedTokenizerBase, tokens: np.ndarray) -> tuple[str, ...]:
    """The two texts of a pair's row."""
    special = np.isin(tokens, tokenizer.all_special_ids)
    bounds = np.flatnonzero(special)
    parts = [tokens[low + 1 : high] for low, high in pairwise(bounds) if high > low + 1]
    return tuple(tokenizer.decode(part).strip() for part in parts)


@kinds
def test_nothing_left_out_is_the_tokenizers_own_segmentation(kind: str) -> None:
    family, (row,) = pair_rows([(" ".join(LEARNT), "so good-looking ΩÆ U.S.")], MADE[kind])
    after = Segmenter(MADE[kind], seed=1, stream=0, probability=1, alpha=0).rewrite(row, family, "en", 0, 0)
    assert after["words_changed"] == 0
    assert after["words_seen"] == len(LEARNT) + 4


@kinds
def test_other_pieces_same_text(kind: str) -> None:
    tokenizer = MADE[kind]
    family, (row,) = pair_rows([("the good film was not bad", "a 日本語 schön")], tokenizer)
    method = Segmenter(tokenizer, seed=1, stream=0, probability=0.7, alpha=0.3)
    looks = [method.rewrite(row, family, "de", 4, epoch) for epoch in range(40)]
    assert {tokenizer.decode(look["tokens"]) for look in looks} == {tokenizer.decode(row["tokens"])}
    assert len({tuple(look["tokens"].tolist()) for look in looks}) > 25
    assert method.rewrite(row, family, "de", 4, 7)["tokens"].tolist() == looks[7]["tokens"].tolist()
    assert method.rewrite(row, family, "de", 5, 7)["tokens"].tolist() != looks[7]["tokens"].tolist()
    single = Segmenter(tokenizer, seed=1, stream=0, probability=1, alpha=1).rewrite(row, family, "de", 4, 0)
    merged = [piece for piece in Merges(tokenizer).pieces if len(piece) > 1]
    assert not {*tokenizer.convert_ids_to_tokens(single["tokens"])} & {*merged}
    produced = method.produces(np.unique(row["tokens"])).tolist()
    for look in (*looks, single):
        assert set(look["tokens"].tolist()) <= set(produced)


def exact(text: str, ranks: dict[tuple[str, str], int], rate: float) -> Counter[tuple[str, ...]]:
    """The probability of each segmentation under algorithm 1 of the paper, by trying all that may be left out."""

    def ways(symbols: tuple[str, ...]) -> Iterator[tuple[float, tuple[str, ...]]]:
        found = sorted((ranks[pair], place) for place, pair in enumerate(pairwise(symbols)) if pair in ranks)
        for number, (_, place) in enumerate(found):  # those before it are left out, it is not
            merged = (*symbols[:place], symbols[place] + symbols[place + 1], *symbols[place + 2 :])
            for share, rest in ways(merged):
                yield (rate**number) * (1 - rate) * share, rest
        yield rate ** len(found), symbols

    total: Counter[tuple[str, ...]] = Counter()
    for share, symbols in ways(tuple(text)):
        total[symbols] += share  # type: ignore[assignment]
    return total


def test_draws_have_the_frequencies_of_the_papers_algorithm() -> None:
    tokenizer = byte_level(["abab abc abcab bc"] * 20, 30)
    merges = Merges(tokenizer)
    (part,) = parts = merges.parts("abcab") or ()
    expected = exact("abcab", merges._ranks, 0.4)
    assert sum(expected.values()) == pytest.approx(1)
    assert len(expected) > 4
    count = 8000
    numbers = np.random.default_rng(3).random((count, merges.draws(parts)))
    seen = Counter(tuple(tokenizer.convert_ids_to_tokens(list(merges.cut(parts, 0.4, row.tolist())))) for row in numbers)
    assert part.symbols == tuple("abcab")
    assert seen.keys() <= expected.keys()
    chi_square = sum((seen[one] - count * share) ** 2 / (count * share) for one, share in expected.items() if share)
    freedom = len(expected) - 1
    assert chi_square < freedom + 4 * math.sqrt(2 * freedom)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"alpha": 1.5}, "alpha=1.5: with BPE it is a probability, at most 1"),
        ({"nbest": 4}, "nbest=4: BPE has no n-best segmentations"),
    ],
)
def test_options_that_bpe_does_not_have(options: dict[str, float], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Segmenter(MADE["gemma"], seed=1, stream=0, **options)  # type: ignore[arg-type]


def test_answers_stay() -> None:
    family = SpanQA(task("squad"))
    example = Question(key="a", id="a", question="was it bad", context="the good film", answers=(Answer(start=4, text="good"),))
    for kind, tokenizer in MADE.items():
        (row,) = arrays(family.encode([example], tokenizer, 64))
        method = Segmenter(tokenizer, seed=2, stream=0, probability=1, alpha=1)
        after = method.rewrite(row, family, "en", 0, 0)
        answer = slice(after["start"], after["end"] + 1), slice(row["start"], row["end"] + 1)
        assert after["tokens"][answer[0]].tolist() == row["tokens"][answer[1]].tolist(), kind
        assert len(after["tokens"]) > len(row["tokens"])
