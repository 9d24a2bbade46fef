"""A file in another form than a reader's is reported with its line, by every reader, and never taken for one without gold."""

from functools import partial
from pathlib import Path

import pytest
import yaml

from xdist.errors import UserError
from xdist.formats import choice, classification, corpus, lines, mewslix, nli, parallel, squad, tagging
from xdist.strict_json import parsed
from xdist.tasks.catalog import task
from xdist.tasks.catalog.user import user_tasks

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
READERS = {
    "tagging": partial(tagging.read, tags=TAGS),
    "classification": partial(classification.read, labels=("a", "b")),
    "one text": partial(classification.read, labels=("a", "b"), texts=1),
    "published": partial(classification.read_published, form=classification.PAWSX, labels=("0", "1")),
    "copa": choice.read_copa,
    "siqa": choice.read_siqa,
    "listed": choice.read_listed,
    "commonsense": choice.read_commonsenseqa,
    "cosmos": choice.read_cosmosqa,
    "nli": nli.read_multinli,
    "squad": squad.read,
    "tatoeba": parallel.read_tatoeba,
    "bucc": parallel.read_bucc,
    "entities": mewslix.read_entities,
    "text": lambda path: corpus.blocks(str(path), ("text",)),
}
DISGUISED = {
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n",
        ":1: is a Git LFS pointer, not the file",
    ),
    "page": (b"\n<!DOCTYPE html>\n<html><body>login</body></html>\n", ":1: is a web page (HTML or XML), not the file"),
    "error": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', ":1: is a web page (HTML or XML)"),
    "refusal": (b"404: Not Found", ":1: is the answer of a server, not the file"),
    "zeros": (bytes(4096), ":1: begins with zero bytes"),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(40), ": is packed by gzip, not a text"),
    "zip": (b"PK\x03\x04\x14\x00", ": is a zip archive, not a text"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", DISGUISED)
def test_what_is_no_text_is_told_by_every_reader(tmp_path: Path, kind: str, reader: str) -> None:
    content, message = DISGUISED[kind]
    path = tmp_path / "test-sw.txt"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        list(READERS[reader](path))
    assert str(error.value).startswith(f"{path}{message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("Amina B-PER\nana O\n\nNairobi B-LOC\nni O\n", "1: expected 'word TAB tag', found no tab: 'Amina B-PER'"),
        ("Amina,B-PER\nana,O\n", "1: expected 'word TAB tag', found no tab: 'Amina,B-PER'"),
        ("Amina NNP B-PER\nana VB O\n", "1: expected 'word TAB tag', found no tab: 'Amina NNP B-PER'"),
        ("Amina ana Nairobi.\nKenya ni nchi.\n", "1: expected 'word TAB tag', found no tab: 'Amina ana Nairobi.'"),
        ('{"tokens": ["Amina"]}\n{"tokens": ["ana"]}\n', "1: expected 'word TAB tag', found no tab: '{\"tokens\""),
        ("B-PER\nO\n\nB-LOC\n", "1: expected 'word TAB tag', found no tab: 'B-PER'"),
        ("word\nAmina\nana\n", "1: expected 'word TAB tag', found a heading: 'word'"),
        ("word\ttag\nAmina\tB-PER\n", "1: unknown tag 'tag'"),
        ("en:Amina\tB-PER\nen:is\tO\n", "1: every word begins with 'en:', as in WikiANN as published: 'en:Amina\\tB-PER'"),
        ("zh-classical:Amina\nzh-classical:is\n", "1: every word begins with 'zh-classical:'"),
        ("Amina\tB-PER\nana O\n", "2: no tag here, a tag above: expected 'word TAB tag', found 'ana O'"),
    ],
)
def test_tagged_files_in_other_forms(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "test-sw.tsv"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        list(tagging.read(path, tags=TAGS))
    assert str(error.value).startswith(f"{path}:{message}")


def test_words_of_official_files_without_gold_stay_words(tmp_path: Path) -> None:
    """Words may hold blanks (Vietnamese), look like tags, or be a space of another kind; none of these ends a sentence."""
    path = tmp_path / "test-vi.tsv"
    path.write_text("con người\nO\n\u3000\n\n\u00a0\nhttp://a.b\n\n\n \n")
    found = [sentence.words for sentence in tagging.read(path, tags=TAGS)]
    assert found == [("con người", "O", "\u3000"), ("\u00a0", "http://a.b")]


@pytest.mark.parametrize(
    "texts, text, message",
    [
        (1, "good,a\nbad,b\n", "1: expected 1 text column and a label, found no tab before the label: 'good,a'"),
        (1, "text\nKenya\n", "1: expected 1 text column and a label, found a heading: 'text'"),
        (2, "x,y,a\n", "1: expected 2 text columns and a label, found 1, no tab: 'x,y,a'"),
        (2, "x y a\n", "1: expected 2 text columns and a label, found 1, no tab: 'x y a'"),
        (2, "premise\thypothesis\nx\ty\n", "1: expected 2 text columns and a label, found a heading: 'premise\\thypothesis'"),
        (2, "x\ta\ny\tb\n", "1: expected 2 text columns and a label, found 2 columns of which the last is a label: 'x\\ta'"),
        (2, "1\tx\ty\ta\n", "1: expected 2 text columns and a label, found 4: '1\\tx\\ty\\ta'"),
        (2, "sentence1\tsentence2\tlabel\nx\ty\ta\n", "1: expected 2 text columns and a label, found a heading"),
    ],
)
def test_classified_files_in_other_forms(tmp_path: Path, texts: int, text: str, message: str) -> None:
    path = tmp_path / "test-sw.tsv"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        list(classification.read(path, labels=("a", "b"), texts=texts))
    assert str(error.value).startswith(f"{path}:{message}")


@pytest.mark.parametrize("family, text", [("tagging", "Amina\nana\n"), ("classification", "x\ty\n"), ("multiple-choice", "")])
def test_unlabelled_test_files_of_ones_own_need_a_word(tmp_path: Path, family: str, text: str) -> None:
    text = text or '{"prompt": "x", "options": ["a", "b"]}\n'
    (tmp_path / "test-sw.tsv").write_text(text)
    described = {"family": family, "languages": ["sw"], "files": {"test": "test-{language}.tsv"}}
    if family != "multiple-choice":
        described["labels"] = list(TAGS)
    for word in ({}, {"unlabelled": True}):
        path = tmp_path / f"tasks-{len(word)}.yaml"
        path.write_text(yaml.safe_dump({"tasks": {"t": described | word}}))
        examples = user_tasks(path)["t"].examples(tmp_path, "test", "sw")
        if word:
            assert len(list(examples)) == 1
        else:
            with pytest.raises(UserError, match=r"test-sw.tsv:1: gold is missing or blanked"):
                list(examples)
    path = tmp_path / "no-test.yaml"
    path.write_text(yaml.safe_dump({"tasks": {"t": {**described, "files": {"train": "a-{language}"}, "unlabelled": True}}}))
    with pytest.raises(UserError, match="unlabelled: there are no test files"):
        user_tasks(path)


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", " \n"])
@pytest.mark.parametrize("name", ["udpos", "pawsx", "siqa"])
def test_a_file_of_nothing_is_no_test_set(tmp_path: Path, name: str, content: str) -> None:
    (path,) = task(name).paths(tmp_path, "test" if name != "siqa" else "dev", "en")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    with pytest.raises(UserError, match=r"holds no example|blank line"):
        list(task(name).examples(tmp_path, "test" if name != "siqa" else "dev", "en"))


JSON = {
    "deep": ("[" * 200_000, "not JSON that can be read: too many brackets within each other"),
    "long": ('{"a": 1' + "1" * 5000 + "}", "not JSON that can be read: an integer of more than 40 digits"),
    "half": ('{"a": "\\ud83d"}', "not text: half a surrogate pair"),
    "half key": ('{"\\udc00": 1}', "not text: half a surrogate pair"),
    "bytes": (b'{"a": "\xc3("}', "not UTF-8: byte 0xc3"),
    "cut": ('{"a": ', "not JSON: Expecting value at column"),
    "two": ("{} {}", "not JSON: Extra data at column 4"),
}


@pytest.mark.parametrize("kind", JSON)
def test_json_that_no_reader_can_work_with_is_one_line_with_its_line(tmp_path: Path, kind: str) -> None:
    content, message = JSON[kind]
    raw = content if isinstance(content, bytes) else content.encode()
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n" + raw + b"\n{}\n")
    with pytest.raises(UserError) as error:
        list(lines.read_jsonl(path))
    assert str(error.value).startswith(f"{path}:2: {message}")
    assert len(str(error.value).splitlines()) == 1
    if kind != "two":
        with pytest.raises(UserError) as error:
            parsed(b'{"x": "\\" ] [",\n"b":\n' + raw + b"}", path)
        assert str(error.value).startswith(f"{path}:3: {message}")


def test_json_that_is_fine_stays_so() -> None:
    assert parsed('{"a": "\\ud83d\\ude00 \\\\ud83d", "b": [-1, 1e5, true]}', "a") == {"a": "😀 \\ud83d", "b": [-1, 1e5, True]}
    assert parsed(b"\xef\xbb\xbf" + str(2**128).encode(), "a") == 2**128
