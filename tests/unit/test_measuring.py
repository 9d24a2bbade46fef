"""How tokenizers take the texts of test sets: what is unknown to them, how finely they cut, what they write otherwise."""

from pathlib import Path

import pytest
from many_languages import many_scores
from tiny_bpe import byte_level, gemma_like
from tiny_xlm import tiny_xlm_tokenizer
from transformers import PreTrainedTokenizerBase

from xdist.data.tokenizer import load_tokenizer
from xdist.demo.tiny import tiny_encoder
from xdist.evaluation.measuring import ROWS, SLOW_ROWS, Measuring
from xdist.formats.examples import Choice, Classified, Passage, Query, Question, Sentence, Tagged
from xdist.report import write_report
from xdist.report.measured import Measured, add_counts
from xdist.report.reading import read_scores
from xdist.tasks.catalog import task

TEXTS = ["the cat sat on the mat", "a dog ran to the cat", "the mat was red"]


@pytest.fixture(scope="module")
def unigram(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    """As XLM-R's: NFKC, an unknown piece."""
    return load_tokenizer(str(tiny_encoder(tmp_path_factory.mktemp("unigram") / "encoder", TEXTS * 9, vocabulary=60)))


def rows(*texts: str) -> list[Classified]:
    return [Classified(texts=(text,)) for text in texts]


def test_counts_of_a_tokenizer_with_an_unknown_piece(unigram: PreTrainedTokenizerBase) -> None:
    found = Measuring(unigram)(rows(*TEXTS), "en")
    assert (found["rows"], found["units"], found["per"]) == (3, 16, "word")
    assert found["pieces"] == sum(len(unigram(text, add_special_tokens=False)["input_ids"]) for text in TEXTS)
    letters = {piece.strip("▁") for piece in unigram.get_vocab()}
    assert found["unknown"] == sum(not letters & {letter} for text in TEXTS for letter in text.replace(" ", ""))
    assert found["changed"] == 0
    assert (found["form"], found["applied"]) == ("NFKC", True)
    strange = Measuring(unigram)(rows("ߒߞߏ ߒߞߏ"), "nqo_Nkoo")
    assert 0 < strange["unknown"] < strange["pieces"]


def test_rows_that_the_unicode_form_writes_otherwise(unigram: PreTrainedTokenizerBase) -> None:
    found = Measuring(unigram)(rows("caf\u00e9", "cafe\u0301", "\ufb01ne", "fine"), "fr")
    assert found["changed"] == 2
    none = Measuring(gemma_like(TEXTS))(rows("caf\u00e9", "cafe\u0301", "\ufb01ne"), "fr")
    assert (none["changed"], none["form"], none["applied"]) == (1, "NFC", False)


def test_pieces_of_bytes_count_as_unknown() -> None:
    fallback = Measuring(gemma_like(TEXTS))
    assert fallback(rows("the cat"), "en")["unknown"] == 0
    assert fallback(rows("ߒ"), "nqo_Nkoo")["unknown"] == 2  # two bytes
    parts = Measuring(byte_level(TEXTS))
    assert parts(rows("the cat"), "en")["unknown"] == 0
    assert parts(rows("ߒ"), "nqo_Nkoo")["unknown"] == 2  # neither piece is a character


@pytest.mark.parametrize("lower", [True, False])
def test_a_tokenizer_written_in_python(tmp_path: Path, lower: bool) -> None:
    pytest.importorskip("sacremoses")
    measuring = Measuring(load_tokenizer(str(tiny_xlm_tokenizer(tmp_path / "xlm", TEXTS, lower=lower))))
    found = measuring(rows(*TEXTS, "cafe\u0301"), "en")
    assert (found["units"], found["changed"], found["form"]) == (17, 1, "NFC")
    assert found["applied"] == lower  # with its accents it loses either form of them
    assert measuring(rows(*["a"] * 999), "en")["rows"] == SLOW_ROWS


def test_scripts_without_blanks_are_counted_by_letters(unigram: PreTrainedTokenizerBase) -> None:
    found = Measuring(unigram)(rows("猫が座る。", "猫 2"), "jpn_Jpan")
    assert (found["units"], found["per"]) == (4 + 2, "character")
    assert Measuring(unigram)(rows("แมว"), "th")["per"] == "character"
    assert Measuring(unigram)(rows("고양이가 앉다"), "kor_Hang")["units"] == 2
    pairs = {
        code: Measuring(unigram)(rows("猫が座る。"), *task("xnli-pairs").written_in(code))
        for code in ("zh-zh", "en-zh", "en-de")
    }
    assert [(one["units"], one["per"]) for one in pairs.values()] == [(4, "character"), (4, "character"), (1, "word")]
    assert Measuring(unigram)(rows("a cat"), *task("xquad-translate-test").written_in("th"))["per"] == "word"


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (Classified(texts=("a b", "c")), 3),
        (Choice(prompt="a b", options=("c", "d e")), 5),
        (Tagged(words=("a", "b")), 2),
        (Question(key="1", id="1", question="a b", context="c d"), 4),
        (Sentence(id="1", text="a b"), 2),
        (Passage(id="1", text="a b", context="c"), 3),
        (("queries", Query(id="1", text="a b c")), 3),
        (("foreign", Sentence(id="1", text="a b")), 2),
        (("english", Sentence(id="1", text="a b")), 0),
    ],
)
def test_the_texts_of_every_kind_of_example(unigram: PreTrainedTokenizerBase, example: object, words: int) -> None:
    assert Measuring(unigram)([example], "en")["units"] == words


def test_only_the_first_rows_of_a_large_set_are_read(unigram: PreTrainedTokenizerBase) -> None:
    assert Measuring(unigram)(rows(*["a b"] * (ROWS + 5)), "en")["rows"] == ROWS


def test_figures_of_several_test_sets_are_those_of_all_their_texts() -> None:
    one = Measured(100, 200, 10, 100, "word", 1, "NFKC")
    total = add_counts([one, Measured(300, 400, 50, 100, "word", 3, "NFKC")])
    assert total
    assert total.values == (10.0, 3.0, 1.0)
    assert add_counts([]) is None
    assert Measured(1000, 300, 3, 600, "character", 1, "NFC", False).shown == ("1.0", "0.50c", "(<1)")


def test_figures_stand_in_every_form_of_a_report(tmp_path: Path) -> None:
    run = many_scores(tmp_path / "run", 102)
    scores = read_scores([run])
    assert scores.is_measured
    assert scores.measures(scores.languages[0])[:2] == ["1.0", "2.00"]
    paths = write_report([run], tmp_path / "out")
    assert "| unknown % | pieces/word | changed % |" in paths.markdown.read_text()
    assert '"unknown_percent": 1.0' in paths.json.read_text()
    page = paths.html.read_text()
    assert "pieces/word" in page
    assert "words are parted by blanks" in page
