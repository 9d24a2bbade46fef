from pathlib import Path

import pytest

from xdist.errors import UserError
from xdist.formats import classification
from xdist.formats.classification import AMERICASNLI, MULTINLI, PAWSX, XNLI, untranslated
from xdist.formats.examples import Classified

NLI = ("contradiction", "entailment", "neutral")


def write(folder: Path, text: str, name: str = "dev-sw.tsv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_both_quoting_forms(tmp_path: Path) -> None:
    path = write(tmp_path, '"He said ""hi""."\tप्रश्न\tneutral\r\nplain "word" inside\tb\tentailment\r\n')
    faithful = list(classification.read(path, labels=NLI))
    assert faithful[0] == Classified(texts=('"He said ""hi""."', "प्रश्न"), label="neutral")
    clean = list(classification.read(path, labels=NLI, quoting="clean"))
    assert clean[0] == Classified(texts=('He said "hi".', "प्रश्न"), label="neutral")
    assert clean[1] == faithful[1] == Classified(texts=('plain "word" inside', "b"), label="entailment")


def test_what_is_not_csv_quoted_is_not_read_as_if_it_were(tmp_path: Path) -> None:
    path = write(tmp_path, 'a\tb\tneutral\n"Hi" he said\tb\tneutral\n')
    with pytest.raises(UserError, match=r"dev-sw.tsv:2: not csv-quoted \(.*\); read this file with quoting faithful$"):
        list(classification.read(path, labels=NLI, quoting="clean"))


def test_one_text_and_files_without_labels(tmp_path: Path) -> None:
    path = write(tmp_path, "Dar es Salaam\tcity\nKiswahili\tlanguage\n")
    assert list(classification.read(path, labels=("city", "language"), texts=1))[1].label == "language"
    path = write(tmp_path, "a\tb\nc\td\n")
    assert [example.label for example in classification.read(path, labels=NLI)] == [None, None]
    with pytest.raises(UserError, match=r"dev-sw.tsv:1: gold is missing or blanked: expected 2 text columns and a label"):
        list(classification.read(path, labels=NLI, need_gold=True))


def test_labels_are_stripped_and_renamed(tmp_path: Path) -> None:
    path = write(tmp_path, "a\tb\tcontradictory \n")
    assert next(classification.read(path, labels=NLI)).label == "contradiction"


@pytest.mark.parametrize(
    "text, message",
    [
        ("a\tb\tneutral\na\n", "2: expected 2 text columns and a label, found 1"),
        ("a\tb\tneutral\n\na\tb\tneutral\n", "2: expected 2 text columns and a label, found none"),
        ("a\tb\tc\tneutral\n", "1: expected 2 text columns and a label, found 4"),
        ("a\tb\tneutrall\n", "1: unknown label 'neutrall': did you mean 'neutral'? (valid: "),
        ("a\tb\tneutral\na\tb\n", "2: no gold here, gold above"),
        ("a\tb\na\tb\tneutral\n", "2: gold here, no gold above"),
    ],
)
def test_bad_rows(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserError) as error:
        list(classification.read(path, labels=NLI))
    assert str(error.value).startswith(f"{path}:{message}")
    assert "\n" not in str(error.value)


def test_an_undecodable_byte_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "dev-sw.tsv"
    path.write_bytes(b"a\tb\tneutral\na\t\xe0\xa4\tneutral\n")
    with pytest.raises(UserError, match=r"dev-sw.tsv:2: not UTF-8: byte 0xe0 at offset 14 of the file$"):
        list(classification.read(path, labels=NLI))


XNLI_HEADER = "language\tgold_label\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse\t"
XNLI_FILE = (
    f"{XNLI_HEADER}sentence1\tsentence2\tpromptID\n"
    "ar\tneutral\t\t\t\t\tأ\tب\t1\n"
    "sw\tcontradictory\t\t\t\t\t moja \tmbili\t2\n"
    "sw\tentailment\t\t\t\t\ttatu\tnne\t3\n"
)


def test_xnli_as_published_is_filtered_by_language(tmp_path: Path) -> None:
    path = write(tmp_path, XNLI_FILE, "xnli.dev.tsv")
    assert list(classification.read_published(path, XNLI, labels=NLI, language="sw")) == [
        Classified(texts=("moja", "mbili"), label="contradiction"),
        Classified(texts=("tatu", "nne"), label="entailment"),
    ]
    with pytest.raises(UserError, match=r"xnli.dev.tsv: unknown language 'sv': did you mean 'sw'\? \(valid: ar, sw\)$"):
        list(classification.read_published(path, XNLI, labels=NLI, language="sv"))


def test_other_published_forms(tmp_path: Path) -> None:
    path = write(tmp_path, 'premise\thypo\tlabel\n"q" a\tb\tcontradictory\n', "multinli.train.en.tsv")
    assert list(classification.read_published(path, MULTINLI, labels=NLI)) == [
        Classified(texts=('"q" a', "b"), label="contradiction")
    ]
    path = write(tmp_path, "id\tsentence1\tsentence2\tlabel\n1\t你好\tNS\t0\n2\ta\tb\t1\n", "test_2k.tsv")
    pairs = list(classification.read_published(path, PAWSX, labels=("0", "1")))
    assert pairs[0] == Classified(texts=("你好", "NS"), label="0")
    assert [untranslated(pair) for pair in pairs] == [True, False]
    path = write(tmp_path, "id\tlanguage\tpremise\thypothesis\tlabel\n1\tquy\ta\tb\tneutral\n2\taym\tc\td\tneutral\n", "t.tsv")
    assert [e.texts[0] for e in classification.read_published(path, AMERICASNLI, labels=NLI, language="aym")] == ["c"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("id\tsentence\tsentence2\tlabel\n", ":1: no column 'sentence1'; nearest: 'sentence' (found: id, sentence, "),
        ("1\ta\tb\t0\n", ":1: no column 'sentence1' (found: 1, a, b, 0)"),
        ("id\tsentence1\tsentence2\tlabel\n1\ta\tb\n", ":2: expected 4 columns as in the header, found 3"),
        ("id\tsentence1\tsentence2\tlabel\n1\ta\tb\t2\n", ":2: unknown label '2'"),
        ("", ":1: no column 'sentence1'"),
    ],
)
def test_bad_published_files(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserError) as error:
        list(classification.read_published(path, PAWSX, labels=("0", "1")))
    assert str(error.value).startswith(f"{path}{message}")


@pytest.mark.parametrize(
    "name, missing",
    [("dev-en", 0), ("dev-de", 68), ("dev-fr", 8), ("dev-zh", 16), ("test-de", 32), ("test-zh", 25)],
)
def test_real_pawsx(shared_data: Path, name: str, missing: int) -> None:
    path = shared_data / "pawsx" / f"{name}.tsv"
    faithful = list(classification.read(path, labels=("0", "1"), need_gold=True))
    clean = list(classification.read(path, labels=("0", "1"), quoting="clean"))
    assert len(faithful) == len(clean) == 2000
    assert sum(map(untranslated, faithful)) == missing
    quoted = [(f, c) for f, c in zip(faithful, clean, strict=True) if f != c]
    assert bool(quoted) == (name != "dev-en")  # the English file has no quote character
    assert all('""' in "".join(f.texts) and '""' not in "".join(c.texts) for f, c in quoted)
    assert not any(text.endswith("\r") for pair in faithful for text in pair.texts)
