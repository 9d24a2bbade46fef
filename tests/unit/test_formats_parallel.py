from pathlib import Path

import pytest

from xdist.errors import UserError
from xdist.formats import parallel
from xdist.formats.examples import Sentence


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_tatoeba_with_and_without_labels(tmp_path: Path) -> None:
    path = write(tmp_path, "ka-en.en", "A\n B \nC")
    assert list(parallel.read_tatoeba(path))[1] == Sentence(id="1", text="B")
    labels = write(tmp_path, "test-ka.tsv", "2\n0\n1\n")
    assert [sentence.gold for sentence in parallel.read_tatoeba(path, labels=labels)] == ["2", "0", "1"]


@pytest.mark.parametrize(
    "labels, message",
    [
        ("1\n0\n", "test-ka.tsv: 2 labels, but .*ka-en.en has more sentences$"),
        ("2\n0\n1\n3\n", "test-ka.tsv: 4 labels for the 3 sentences of .*ka-en.en$"),
        ("2\n0\n3\n", "test-ka.tsv:3: '3' is no row from 0 to 2, or appears twice$"),
        ("2\n0\n2\n", "test-ka.tsv:3: '2' is no row from 0 to 2, or appears twice$"),
        ("2\n[0]\n1\n", r"test-ka.tsv:2: '\[0\]' is no row"),
    ],
)
def test_bad_tatoeba_labels(tmp_path: Path, labels: str, message: str) -> None:
    path = write(tmp_path, "ka-en.en", "A\nB\nC\n")
    with pytest.raises(UserError, match=message):
        list(parallel.read_tatoeba(path, labels=write(tmp_path, "test-ka.tsv", labels)))


def test_parallel_rows_are_their_own_gold(tmp_path: Path) -> None:
    path = write(tmp_path, "ref.txt", "eins\r\n\r\ndrei\r\n")
    assert list(parallel.read_parallel(path)) == [
        Sentence(id="0", text="eins", gold="0"),
        Sentence(id="1", text="", gold="1"),
        Sentence(id="2", text="drei", gold="2"),
    ]


def test_bucc(tmp_path: Path) -> None:
    path = write(tmp_path, "de-en.dev.de", "de-1\tEin Satz\tmit Tab\nde-2\tZwei\n")
    assert list(parallel.read_bucc(path)) == [
        Sentence(id="de-1", text="Ein Satz\tmit Tab"),
        Sentence(id="de-2", text="Zwei"),
    ]
    assert list(parallel.read_bucc_gold(write(tmp_path, "gold", "de-1\ten-9\n"))) == [("de-1", "en-9")]


def test_bad_bucc(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a:2: expected 'id TAB sentence', found 'Zwei'$"):
        list(parallel.read_bucc(write(tmp_path, "a", "de-1\tEins\nZwei\n")))
    with pytest.raises(UserError, match=r"a:2: id 'de-1' appears twice$"):
        list(parallel.read_bucc(write(tmp_path, "a", "de-1\tEins\nde-1\tZwei\n")))
    with pytest.raises(UserError, match=r"a:1: expected 'other id TAB English id', found 'de-1 en-9'$"):
        list(parallel.read_bucc_gold(write(tmp_path, "a", "de-1 en-9\n")))


TATOEBA = dict.fromkeys(["ar", "de", "et", "eu", "fr", "ja", "tl", "zh"], 1000) | {
    "jv": 205,
    "ka": 746,
    "sw": 390,
    "ta": 307,
    "th": 548,
}


@pytest.mark.parametrize("code, count", TATOEBA.items())
def test_real_tatoeba(shared_data: Path, code: str, count: int) -> None:
    foreign = list(parallel.read_tatoeba(shared_data / "tatoeba" / f"{code}-en.{code}"))
    labels = shared_data / "labels" / "tatoeba" / f"test-{code}.tsv"
    english = list(parallel.read_tatoeba(shared_data / "tatoeba" / f"{code}-en.en", labels=labels))
    assert len(foreign) == len(english) == count
    assert {sentence.gold for sentence in english} == {sentence.id for sentence in foreign}
    assert all(sentence.text for sentence in (*foreign, *english))


def test_real_ntrex(shared_data: Path) -> None:
    files = sorted((shared_data / "ntrex" / "NTREX-128").glob("*.txt"))
    assert len(files) == 10
    for path in files:
        sentences = list(parallel.read_parallel(path))
        assert len(sentences) == 400
        assert all(sentence.text and not sentence.text.endswith("\r") for sentence in sentences)
