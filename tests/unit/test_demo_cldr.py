"""The CLDR tasks: the same bytes each time, official layouts, and nothing of a test set in training in any language."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from xdist.demo.cldr import MANIFEST, PAIRS, SENTENCES, TOPIC_PER_LABEL, Summary, generate
from xdist.demo.cldr_names import KINDS, LABELS, SPLITS, kind_of, names_of, split_of
from xdist.demo.cldr_spans import (
    CHARACTER_LANGUAGES,
    CHARACTERS_PER_SENTENCE,
    TAGS,
    WORDS_PER_SENTENCE,
    words,
)
from xdist.errors import UserError
from xdist.files import read_json
from xdist.languages import LANGUAGES

Tagged = list[tuple[str, str]]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    folder = tmp_path_factory.mktemp("cldr")
    return folder, generate(folder)


@pytest.fixture(scope="module")
def folder(generated: tuple[Path, Summary]) -> Path:
    return generated[0]


def _topic(folder: Path, split: str, code: str) -> Tagged:
    lines = (folder / "cldr-topic" / f"{split}-{code}.tsv").read_text("utf-8").splitlines()
    return [(name, label) for name, label in (line.split("\t") for line in lines)]


def _spans(folder: Path, split: str, code: str) -> list[Tagged]:
    text = (folder / "cldr-spans" / f"{split}-{code}.tsv").read_text("utf-8")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    blocks = [block.splitlines() for block in text.split("\n\n")]
    return [[(word, tag) for word, tag in (line.split("\t") for line in block)] for block in blocks]


def _tagged_names(sentence: Tagged) -> list[tuple[str, str]]:
    """(name, type) of every span; words joined by a space."""
    names: list[tuple[list[str], str]] = []
    for word, tag in sentence:
        if tag.startswith("B-"):
            names.append(([word], tag[2:]))
        elif tag.startswith("I-"):
            names[-1][0].append(word)
    return [(" ".join(parts), kind) for parts, kind in names]


def test_every_language_is_in_every_task(generated: tuple[Path, Summary]) -> None:
    folder, summary = generated
    assert set(summary.languages) == set(LANGUAGES)
    for code, language in summary.languages.items():
        assert language.topic == {split: len(_topic(folder, split, code)) for split in SPLITS}
        assert language.spans == {split: len(_spans(folder, split, code)) for split in SPLITS}
        assert language.topic["train"] >= 450, code
        assert language.topic["dev"] >= 40, code
        assert language.topic["test"] >= 48, code
        assert language.spans["test"] == SENTENCES["test"], code
        assert language.spans["dev"] == SENTENCES["dev"], code
        assert language.spans["train"] >= SENTENCES["train"], code
        assert language.pairs == (0 if code == "en" else PAIRS), code


def test_what_poorly_covered_languages_have(generated: tuple[Path, Summary]) -> None:
    """So that another version of Babel with other coverage is noticed."""
    languages = generated[1].languages
    assert languages["wo"].names == {"territory": 291, "language": 164, "currency": 157, "script": 7, "calendar": 19}
    assert languages["qu"].names["unit"] == 95
    assert languages["jv"].names["unit"] == 98
    assert languages["yo"].names["script"] == 67
    assert languages["ht"].names == languages["fr"].names


def test_borrowed_names_are_counted(generated: tuple[Path, Summary]) -> None:
    summary = generated[1]
    haitian = summary.languages["ht"]
    assert (haitian.inherits_from, round(haitian.same_as_inherited, 2)) == ("fr", 1.0)
    assert [code for code, language in summary.languages.items() if language.inherits_from] == ["ht"]
    assert 0.25 < summary.languages["wo"].same_as_english < 0.35
    assert summary.languages["ru"].same_as_english == 0
    notes = "\n".join(summary.notes())
    assert "Haitian Creole: 99.9% of the names are the French ones" in notes
    assert "Wolof: CLDR has no unit names" in notes
    assert "Tagalog: the names are those of CLDR's locale fil" in notes
    assert "Russian" not in notes


def test_no_name_is_a_code_or_the_neutral_default() -> None:
    for code in LANGUAGES:
        forms = names_of(code).forms
        for concept, names in forms.items():
            key = concept.partition(":")[2]
            assert key.casefold() not in [name.casefold() for name in names], (code, concept)
        assert "M01" not in forms["month:1"], code
    assert "script:Armi" not in names_of("pt").forms  # CLDR's Portuguese has only "armi"
    assert not [concept for concept in names_of("wo").forms if kind_of(concept) == "unit"]


def test_split_depends_on_the_concept_alone() -> None:
    split = split_of()
    for kind in KINDS:
        counts = Counter(split[concept] for concept in split if kind_of(concept) == kind)
        assert counts["train"] > counts["test"] == counts["dev"] >= 1, kind
    assert (split["territory:KE"], split["month:6"], split["currency:PLN"]) == ("test", "test", "train")


def test_no_held_out_name_is_in_training_in_any_language(folder: Path) -> None:
    """By string, over the files themselves: topic names, tagged names and retrieval pairs."""
    names: dict[str, set[str]] = {split: set() for split in SPLITS}
    for code in LANGUAGES:
        for split in SPLITS:
            names[split] |= {name.casefold() for name, _ in _topic(folder, split, code)}
            # Character languages are compared without the spaces of their words.
            join = "" if code in CHARACTER_LANGUAGES else " "
            for sentence in _spans(folder, split, code):
                found = _tagged_names(sentence)
                names[split] |= {name.replace(" ", join).casefold() for name, kind in found if kind != "DAT"}
        for side in (code, "en"):
            if code != "en":
                lines = (folder / "cldr-names" / f"{code}-en.{side}").read_text("utf-8").splitlines()
                names["test"] |= {line.casefold() for line in lines}
    assert len(names["test"]) > 5000
    assert not names["train"] & names["test"]
    assert not names["train"] & names["dev"]
    assert not names["dev"] & names["test"]


def test_topic_rows(folder: Path) -> None:
    for code in LANGUAGES:
        labels: dict[str, str] = {}
        for split in SPLITS:
            rows = _topic(folder, split, code)
            counts = Counter(label for _, label in rows)
            assert set(counts) <= set(LABELS)
            assert max(counts.values()) <= TOPIC_PER_LABEL[split]
            for name, label in rows:
                assert name == " ".join(name.split()) != ""
                assert labels.setdefault(name.casefold(), label) == label, (code, name)
        if code != "wo":
            assert {label for _, label in rows} == set(LABELS), code


def test_span_sentences(folder: Path) -> None:
    kinds: Counter[str] = Counter()
    for code in LANGUAGES:
        fewest, most = CHARACTERS_PER_SENTENCE if code in CHARACTER_LANGUAGES else WORDS_PER_SENTENCE
        for split in SPLITS:
            sentences = _spans(folder, split, code)
            assert len({tuple(sentence) for sentence in sentences}) == len(sentences)
            for sentence in sentences:
                assert fewest <= len(sentence) <= most
                before = "O"
                for word, tag in sentence:
                    assert word
                    assert not any(character.isspace() for character in word)
                    assert tag in TAGS
                    assert not tag.startswith("I-") or before[2:] == tag[2:], (code, sentence)
                    before = tag
                kinds.update(kind for _, kind in _tagged_names(sentence))
    assert min(kinds.values()) > 5000
    assert set(kinds) == {"LOC", "LNG", "CUR", "DAT"}


def test_pairs_are_laid_out_as_tatoeba(folder: Path) -> None:
    english_names = {forms[0]: concept for concept, forms in names_of("en").forms.items() if split_of()[concept] == "test"}
    for code in LANGUAGES:
        if code == "en":
            assert not (folder / "cldr-names" / "en-en.en").exists()
            continue
        own, english = ((folder / "cldr-names" / f"{code}-en.{side}").read_text("utf-8").splitlines() for side in (code, "en"))
        gold = [int(line) for line in (folder / "labels/cldr-names" / f"test-{code}.tsv").read_text().splitlines()]
        assert english == sorted(english)
        assert sorted(gold) == list(range(len(own)))
        assert len(set(own)) == len(set(english)) == len(own)
        for line, row in zip(english, gold, strict=True):
            assert names_of(code).forms[english_names[line]][0] == own[row]


def test_another_process_and_fewer_languages_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    code = "import sys, pathlib; from xdist.demo.cldr import generate; generate(pathlib.Path(sys.argv[1]), ['th', 'wo'])"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment, timeout=120)
    files = [file.relative_to(tmp_path) for file in tmp_path.rglob("*.*") if file.is_file() and file.name != MANIFEST]
    assert len(files) == 2 * (3 + 3 + 2 + 1)
    for file in files:
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes(), file


def test_manifest_holds_the_summary(generated: tuple[Path, Summary]) -> None:
    folder, summary = generated
    manifest = read_json(folder / MANIFEST)
    assert manifest["cldr_version"] == summary.cldr_version
    assert manifest["languages"]["ht"]["inherits_from"] == "fr"


def test_unknown_language_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'swa': did you mean 'sw'"):
        generate(tmp_path, ["en", "swa"])
    assert not list(tmp_path.iterdir())


def test_punctuation_is_split_from_words() -> None:
    assert words("Myanmar (Burma), N’Ko") == ["Myanmar", "(", "Burma", ")", ",", "N’Ko"]
    assert words("हिन्दी, ไทย") == ["हिन्दी", ",", "ไทย"]
    assert words("—") == ["—"]
    assert words("日 本", characters=True) == ["日", "本"]
