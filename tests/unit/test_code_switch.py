"""Words replaced by translations: how often, into which languages, and dictionaries that are read strictly."""

import math
from collections import Counter
from pathlib import Path

import pytest
from tiny_words import arrays, pair_rows, words_tokenizer
from transformers import PreTrainedTokenizerBase

from xdist.errors import UserError
from xdist.formats.examples import Tagged
from xdist.robust.code_switch import CodeSwitch, CodeSwitcher, dictionaries_in
from xdist.robust.word_lists import read_dictionary
from xdist.tasks.catalog import task
from xdist.tasks.tagging import Tagging

GERMAN = "good gut\ngood\tfine\nbad\tnot good\nfilm\tfilm\n"
FRENCH = "good\tbon\ngood\tde la\n"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return words_tokenizer(tmp_path_factory.mktemp("code-switch") / "tokenizer")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dictionaries")
    (folder / "en-de.txt").write_text(GERMAN)
    (folder / "en-fr.txt").write_text(FRENCH)
    return folder


def test_shares_of_translations(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """p / languages / translations each, for the word in lower case; a translation that is the word itself changes nothing."""
    method = CodeSwitcher(tokenizer, folder, seed=1, stream=0, probability=0.6)
    family, (row,) = pair_rows([("good the", "Good film bad")], tokenizer)
    counts: Counter[str] = Counter()
    rounds = 2000
    for epoch in range(rounds):
        after = method.rewrite(row, family, "en", 3, epoch)
        first, _, second = tokenizer.decode(after["tokens"]).removeprefix("<s>").removesuffix("</s>").partition("</s></s>")
        assert first.split()[-1] == "the"
        assert "film" in second.split()
        counts[first.strip().removesuffix(" the")] += 1
        counts["second " + second.strip().partition(" film")[0]] += 1
        counts["third " + second.strip().partition("film ")[2]] += 1
    share = {"gut": 0.15, "fine": 0.15, "bon": 0.15, "de la": 0.15}
    expected = {"good": 0.4, **share, "second Good": 0.4, **{f"second {word}": value for word, value in share.items()}}
    expected |= {"third bad": 0.7, "third not good": 0.3}
    assert counts.keys() == expected.keys()
    assert all(abs(counts[word] - rounds * value) < 4.5 * math.sqrt(rounds * value) for word, value in expected.items())


def test_languages_can_be_chosen(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    method = CodeSwitcher(tokenizer, folder, seed=1, stream=0, probability=1, languages=["de"], lookup="folded")
    family, (row,) = pair_rows([("Good (film)", "good")], tokenizer)
    seen = {tokenizer.decode(method.rewrite(row, family, "en", 3, epoch)["tokens"]) for epoch in range(40)}
    assert seen == {f"<s> {one} (film)</s></s> {other}</s>" for one in ("Gut", "Fine") for other in ("gut", "fine")}


def test_nothing_is_switched_without_probability_or_in_other_languages(
    tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    family, (row,) = pair_rows([("good bad", "good")], tokenizer)
    after = CodeSwitcher(tokenizer, folder, seed=1, stream=0, probability=0).rewrite(row, family, "en", 3, 0)
    assert after["tokens"] is row["tokens"]
    method = CodeSwitcher(tokenizer, folder, seed=1, stream=0, probability=1)
    assert method.rewrite(row, family, "sw", 3, 0) is row


def test_a_tagged_word_becomes_one_word(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    family = Tagging(task("udpos"))
    (row,) = arrays(family.encode([Tagged(words=("bad", "good"), tags=("ADJ", "ADJ"))], tokenizer, 128))
    method = CodeSwitcher(tokenizer, folder, seed=1, stream=0, probability=1)
    seen = {tokenizer.decode(method.rewrite(row, family, "en", 3, epoch)["tokens"]) for epoch in range(60)}
    assert seen == {f"<s> bad {word}</s>" for word in ("gut", "fine", "bon")}


@pytest.mark.parametrize(
    "content, message",
    [
        ("good gut\nbad\n", r"en-de\.txt:2: expected 'source TAB target' or 'source target', found 'bad'"),
        ("good gut so\n", r"en-de\.txt:1: expected"),
        ("good\t\n", r"en-de\.txt:1: expected"),
        ("good\tgut\n\n", r"en-de\.txt:2: expected"),
        ("", r"en-de\.txt: holds no word"),
    ],
)
def test_dictionaries_are_read_strictly(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "en-de.txt").write_text(content)
    with pytest.raises(UserError, match=message):
        read_dictionary(tmp_path / "en-de.txt")


def test_a_missing_dictionary_is_an_error(tokenizer: PreTrainedTokenizerBase, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"en-es\.txt: no such file; unknown language 'es': .*\(valid: de, fr\)"):
        CodeSwitcher(tokenizer, folder, seed=1, stream=0, languages=["de", "es"])
    with pytest.raises(UserError, match=r"no dictionary en-xx\.txt in this folder"):
        CodeSwitcher(tokenizer, tmp_path, seed=1, stream=0)


def test_a_dictionary_is_found_by_any_code_of_its_language(folder: Path) -> None:
    method = CodeSwitch(dictionaries=folder, languages=("deu_Latn", "fra", "es"))
    assert method.files() == [folder / f"en-{code}.txt" for code in ("de", "fr", "es")]
    assert dictionaries_in(folder, "en", method.languages[:2]) == method.files()[:2]


def test_english_is_known_by_any_of_its_codes(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    method = CodeSwitcher(tokenizer, folder, seed=1, stream=0, probability=1)
    family, (row,) = pair_rows([("good", "good")], tokenizer)
    found = [method.rewrite(row, family, code, 3, 0)["tokens"].tolist() for code in ("en", "eng", "eng_Latn")]
    assert found[0] == found[1] == found[2] != row["tokens"].tolist()
    assert method.rewrite(row, family, "deu_Latn", 3, 0) is row
