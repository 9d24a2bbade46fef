"""Words replaced by synonyms: the published draw, seeded by row and epoch; what a look-up finds; strict files."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_words import SYNONYMS, WORDS, arrays, pair_rows, words_tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xdist.errors import UserError
from xdist.formats.examples import Choice
from xdist.robust.rewriting import WordDraws
from xdist.robust.substitution import Substituter, Substitution
from xdist.robust.word_lists import look_up, read_synonyms
from xdist.tasks.catalog import task
from xdist.tasks.choice import MultipleChoice
from xdist.tasks.family import Row, family_of


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return words_tokenizer(tmp_path_factory.mktemp("substitution") / "tokenizer")


@pytest.fixture(scope="module")
def synonyms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synonyms") / "synonyms.json"
    path.write_text(json.dumps(SYNONYMS))
    return path


def texts_of(row: Row, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The two texts of a pair's row."""
    return [part.strip() for part in tokenizer.decode(row["tokens"]).split("</s>") if part][:2]


def said(method: Substituter, texts: tuple[str, str], epoch: int, **changes: Any) -> list[str]:
    tokenizer = method.vocabulary.tokenizer
    family, (row,) = pair_rows([texts], tokenizer)
    after = method.rewrite({**row, **changes}, family, "en", 17, epoch)
    return [part.removeprefix("<s>").strip() for part in texts_of(after, tokenizer)]


# --- the draw ------------------------------------------------------------------------------------------------------------
def test_a_word_and_its_synonyms_are_equally_likely(tokenizer: PreTrainedTokenizerBase, synonyms: Path) -> None:
    """Over epochs, places and rows; words without synonyms, capitals and attached marks stay."""
    method = Substituter(tokenizer, synonyms, seed=3, stream=0)
    family, rows = pair_rows([("good film the good", "bad not Good (film)"), ("good", "film")], tokenizer)
    counts: Counter[tuple[str, str]] = Counter()
    rounds = 1000
    before = [method.vocabulary.words(row, family) for row in rows]
    names = [
        [
            method.vocabulary.text(tuple(row["tokens"][low:high].tolist()))
            for low, high in zip(words.low, words.high, strict=True)
        ]
        for row, words in zip(rows, before, strict=True)
    ]
    for epoch in range(rounds):
        for number, row in enumerate(rows):
            after = method.rewrite(row, family, "en", number, epoch)
            tokens = (
                tokenizer.decode(after["tokens"]).replace("<s>", " ").replace("</s>", " ").replace("not at all", "not_at_all")
            )
            now = tokens.split()
            assert len(now) == len(names[number])
            assert after["words_changed"] == sum(a != b for a, b in zip(now, names[number], strict=True))
            assert after["words_seen"] == len(now)
            counts.update(zip(names[number], now, strict=True))
    for word, found in {**SYNONYMS, "Good": [], "(film)": []}.items():
        total = sum(count for (one, _), count in counts.items() if one == word)
        expected = total / (len(found) + 1)
        others = {other.replace(" ", "_") for other in (word, *found)}
        assert {other for one, other in counts if one == word} == others
        for other in others:
            assert abs(counts[word, other] - expected) <= 4.5 * math.sqrt(expected)


def test_places_are_drawn_independently(tokenizer: PreTrainedTokenizerBase, synonyms: Path) -> None:
    method = Substituter(tokenizer, synonyms, seed=3, stream=0)
    family, (row,) = pair_rows([("bad bad", "bad")], tokenizer)
    seen = Counter(tokenizer.decode(method.rewrite(row, family, "en", 5, epoch)["tokens"]) for epoch in range(1600))
    assert len(seen) == 8
    assert all(abs(count - 200) < 5 * math.sqrt(200) for count in seen.values())


def test_draws_are_uniform_and_apart() -> None:
    numbers = np.stack([WordDraws(1, 0, row, 0)(np.arange(50), np.arange(4)[:, None]) for row in range(100)])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert numbers.mean() == pytest.approx(0.5, abs=5 / math.sqrt(12 * numbers.size))
    assert len(np.unique(numbers)) == numbers.size
    for axis in range(3):
        moved = np.moveaxis(numbers, axis, 0)
        assert abs(np.corrcoef(moved[:-1].ravel(), moved[1:].ravel())[0, 1]) < 5 / math.sqrt(numbers.size)
    assert WordDraws(1, 0, 3, 0)(7, np.arange(4)).tolist() == numbers[3, :, 7].tolist()


def test_the_key_is_seed_stream_row_and_epoch(tokenizer: PreTrainedTokenizerBase, synonyms: Path) -> None:
    family, (row,) = pair_rows([("good film " * 12, "bad good")], tokenizer)

    def made(seed: int = 1, stream: int = 0, number: int = 2, epoch: int = 0, **options: Any) -> list[int]:
        method = Substituter(tokenizer, synonyms, seed=seed, stream=stream, **options)
        return method.rewrite(row, family, "en", number, epoch)["tokens"].tolist()

    assert made() == made()
    looks = [made(), made(seed=2), made(stream=1), made(number=3), made(epoch=1)]
    assert len({tuple(look) for look in looks}) == 5
    assert made(copies=3, epoch=4) == made(copies=3, epoch=1) == made(epoch=1)
    assert made(copies=1, epoch=9) == made()


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)), min_size=1, max_size=6), st.integers(0, 50))
def test_a_pair_keeps_label_order_and_limit(
    tokenizer: PreTrainedTokenizerBase, synonyms: Path, words: list[tuple[str, str]], epoch: int
) -> None:
    method = Substituter(tokenizer, synonyms, seed=1, stream=0, max_length=24)
    first, second = (" ".join(side) for side in zip(*words, strict=True))
    family, (row,) = pair_rows([(first, second)], tokenizer, 24)
    after = method.rewrite(row, family, "en", 1, epoch)
    assert after["label"] == row["label"]
    assert after["example"] == row["example"]
    assert len(after["tokens"]) == after["lengths"].sum() <= 24
    assert after["words_changed"] + after["words_too_long"] <= after["words_seen"] <= 2 * len(words)


def test_a_full_row_takes_what_fits(tokenizer: PreTrainedTokenizerBase, synonyms: Path) -> None:
    family, (row,) = pair_rows([("not not not not", "not")], tokenizer)
    size = len(row["tokens"])
    for room in (0, 1, 3, 100):
        method = Substituter(tokenizer, synonyms, seed=1, stream=0, max_length=size + room)
        looks = [method.rewrite(row, family, "en", 1, epoch) for epoch in range(40)]
        assert max(len(look["tokens"]) for look in looks) <= size + room
        kept = [look["words_too_long"] for look in looks]
        assert (max(kept) > 0) == (room < 100)
        assert len({look["words_changed"] + look["words_too_long"] for look in looks}) > 2
    # A row that is over the limit already is not cut, and does not grow.
    tight = Substituter(tokenizer, synonyms, seed=1, stream=0, max_length=4)
    assert {len(tight.rewrite(row, family, "en", 1, epoch)["tokens"]) for epoch in range(9)} == {size}


def test_nothing_to_draw_from_is_the_same_row(tokenizer: PreTrainedTokenizerBase, tmp_path: Path, synonyms: Path) -> None:
    (tmp_path / "none.json").write_text(json.dumps({word: [] for word in WORDS}))
    family, (row,) = pair_rows([("good film", "bad film")], tokenizer)
    after = Substituter(tokenizer, tmp_path / "none.json", seed=1, stream=0).rewrite(row, family, "en", 1, 0)
    assert after["tokens"] is row["tokens"]
    assert (after["words_seen"], after["words_changed"]) == (4, 0)
    # A language without a file is not looked at.
    method = Substituter(tokenizer, {"de": synonyms}, seed=1, stream=0)
    assert method.rewrite(row, family, "en", 1, 0) is row
    assert any(method.rewrite(row, family, "de", 1, epoch)["words_changed"] for epoch in range(9))


def test_the_second_text_can_be_left_alone(tokenizer: PreTrainedTokenizerBase, synonyms: Path) -> None:
    method = Substituter(tokenizer, synonyms, seed=1, stream=0, second=False)
    looks = [said(method, ("good film bad", "good film bad"), epoch) for epoch in range(30)]
    assert {second for _, second in looks} == {"good film bad"}
    assert len({first for first, _ in looks}) > 8


def test_options_share_one_prompt(tokenizer: PreTrainedTokenizerBase, synonyms: Path) -> None:
    family = MultipleChoice(task("copa"))
    example = Choice(prompt="good film bad good", options=("bad film", "good film good"), label=1)
    (row,) = arrays(family.encode([example], tokenizer, 128))
    method = Substituter(tokenizer, synonyms, seed=1, stream=0)
    prompts, options = set(), set()
    for epoch in range(40):
        after = method.rewrite(row, family, "en", 3, epoch)
        first, second = np.split(after["tokens"], [after["lengths"][0]])
        (one, left), (other, right) = texts_of({"tokens": first}, tokenizer), texts_of({"tokens": second}, tokenizer)
        assert one == other
        prompts.add(one)
        options.add((left, right))
        assert (after["label"], len(after["lengths"])) == (1, 2)
    assert len(prompts) > 15
    assert len(options) > 15


# --- looking up ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "word, how, expected",
    [
        ("good", "exact", ["fine", "bien"]),
        ("Good", "exact", []),
        ("good,", "exact", []),
        ("Good", "lower", ["fine", "bien"]),
        ("Good", "folded", ["Fine", "Bien"]),
        ("GOOD!?", "folded", ["FINE!?", "BIEN!?"]),
        ("(good)", "folded", ["(fine)", "(bien)"]),
        ("“Good”.", "folded", ["“Fine”.", "“Bien”."]),
        ("I", "folded", ["Me"]),
        ("Polish", "folded", ["Warsaw"]),
        ("polish", "folded", ["shine"]),
        ("--", "folded", ["dash"]),
        ("...", "folded", []),
        ("", "exact", []),
    ],
)
def test_looking_up(word: str, how: Any, expected: list[str]) -> None:
    words = {"good": ["fine", "bien"], "i": ["me"], "Polish": ["Warsaw"], "polish": ["shine"], "--": ["dash"]}
    assert look_up(word, words, how) == expected


# --- files ---------------------------------------------------------------------------------------------------------------
def test_a_synonym_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"good": ["fine", "good", "fine"], "\xa0": []}))
    assert read_synonyms(path) == {"good": ("fine",)}


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", r"list\.json:1: not JSON"),
        ("[]", r"list\.json: expected a JSON object of word lists, found list"),
        ('{"good": "fine"}', r"list\.json: key 'good': expected a list of words, found str"),
        ('{"good": ["fine", 3]}', r"list\.json: key 'good': 3 is no word"),
        ('{"good": [" "]}', r"list\.json: key 'good': ' ' is no word"),
    ],
)
def test_files_are_read_strictly(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "list.json").write_text(content)
    with pytest.raises(UserError, match=message):
        read_synonyms(tmp_path / "list.json")


def test_a_language_must_be_known(tokenizer: PreTrainedTokenizerBase, synonyms: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="synonyms: unknown language 'english'"):
        Substituter(tokenizer, {"english": synonyms}, seed=1, stream=0)
    with pytest.raises(UserError, match=r"synonims\.json: no such file; nearest: 'synonyms\.json'"):
        Substituter(tokenizer, synonyms.with_name("synonims.json"), seed=1, stream=0)


# --- real data -----------------------------------------------------------------------------------------------------------
def test_shares_on_pawsx_are_the_published_lists(shared_data: Path, demo_encoder: Path) -> None:
    """26 % of the words of the English dev set have neighbours, 21 % are replaced, 1.4 % of the pairs stay as they are."""
    tokenizer = AutoTokenizer.from_pretrained(demo_encoder)
    pawsx = task("pawsx")
    family = family_of(pawsx)
    rows = arrays(family.encode(list(pawsx.examples(shared_data, "dev", "en"))[:1000], tokenizer, 128))
    method = Substituter(tokenizer, shared_data / "synonyms/counterfitted_neighbors.json", seed=1, stream=0)
    seen = changed = alike = known = 0
    for number, row in enumerate(rows):
        words = method.vocabulary.words(row, family)
        pieces = (tuple(row["tokens"][low:high].tolist()) for low, high in zip(words.low, words.high, strict=True))
        known += sum(bool(method.spelled_synonyms("en", False, piece)) for piece in pieces)
        after = method.rewrite(row, family, "en", number, 0)
        seen, changed = seen + after["words_seen"], changed + after["words_changed"]
        alike += after["words_changed"] == 0
    assert known / seen == pytest.approx(0.26, abs=0.01)
    assert changed / seen == pytest.approx(0.21, abs=0.01)
    assert alike / len(rows) == pytest.approx(0.014, abs=0.01)


@pytest.mark.parametrize("code", ["eng", "eng_Latn", "EN"])
def test_a_language_is_known_by_any_of_its_codes(tokenizer: PreTrainedTokenizerBase, synonyms: Path, code: str) -> None:
    """Those of SIB-200 and of Tatoeba, not only of XTREME-R; on either side."""
    family, (row,) = pair_rows([("good film the good", "bad")], tokenizer)
    for files, language in ((synonyms, code), ({code: synonyms}, "en"), ({"wol_Latn": synonyms}, "wo")):
        method = Substituter(tokenizer, files, seed=3, stream=0)
        expected = Substituter(tokenizer, synonyms, seed=3, stream=0).rewrite(row, family, "en", 17, 2)
        found = method.rewrite(row, family, language, 17, 2)
        assert found["tokens"].tolist() == expected["tokens"].tolist() != row["tokens"].tolist()
        assert Substitution(synonyms=files).knows(language)
    assert method.rewrite(row, family, "deu_Latn", 17, 2) is row
    assert not Substitution(synonyms=synonyms).knows("deu_Latn")
