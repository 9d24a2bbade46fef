from pathlib import Path

import pytest

from xdist.errors import UserError
from xdist.formats import tagging
from xdist.formats.examples import Tagged
from xdist.formats.tagging import UPOS_TAGS, WIKIANN_TAGS


def write(folder: Path, text: str) -> Path:
    path = folder / "dev-wo.tsv"
    path.write_bytes(text.encode())
    return path


def test_sentences_with_and_without_tags(tmp_path: Path) -> None:
    wanted = [Tagged(words=("Jàng", "naa"), tags=("VERB", "AUX")), Tagged(words=(".",), tags=("PUNCT",))]
    for text in ("Jàng\tVERB\nnaa\tAUX\n\n.\tPUNCT", "Jàng\tVERB\r\nnaa\tAUX\r\n\r\n.\tPUNCT\r\n\r\n"):
        assert list(tagging.read(write(tmp_path, text), tags=UPOS_TAGS, need_gold=True)) == wanted
    path = write(tmp_path, "Jàng\nnaa\n\n.\n")
    assert list(tagging.read(path, tags=UPOS_TAGS)) == [Tagged(words=("Jàng", "naa")), Tagged(words=(".",))]
    with pytest.raises(
        UserError, match=r"dev-wo.tsv:1: gold is missing or blanked: expected 'word TAB tag', found no tab: 'Jàng'$"
    ):
        list(tagging.read(path, tags=UPOS_TAGS, need_gold=True))


def test_wikiann_as_published_is_cut_at_the_first_colon(tmp_path: Path) -> None:
    path = write(tmp_path, "yo:12:30\tO\nyo:Èkó\tB-LOC\n\nyo:\u200b\tO\n")
    assert [sentence.words for sentence in tagging.read(path, tags=WIKIANN_TAGS, raw=True)] == [
        ("12:30", "Èkó"),
        ("\u200b",),
    ]
    with pytest.raises(UserError, match=r"dev-wo.tsv:1: expected 'language:word', found 'Èkó'$"):
        list(tagging.read(write(tmp_path, "Èkó\tB-LOC\n"), tags=WIKIANN_TAGS, raw=True))


def test_a_blank_word_with_a_tag_is_a_word(tmp_path: Path) -> None:
    path = write(tmp_path, "a\tX\n\u3000\tX\n\tX\nb\tX\n")
    assert [sentence.words for sentence in tagging.read(path, tags=UPOS_TAGS)] == [("a", "\u3000", "", "b")]


@pytest.mark.parametrize(
    "text, message",
    [
        ("a\tNOUN\n\n\nb\tNOUN\n", "3: blank line without a sentence before it: it would count as an empty sentence"),
        ("\na\tNOUN\n", "1: blank line without a sentence before it"),
        ("a\tNOUN\n\n \nb\tNOUN\n", "3: blank line without a sentence before it"),
        ("a\tNOUN\nb\tNOUNS\n", "2: unknown tag 'NOUNS': did you mean 'NOUN'? (valid: ADJ, "),
        ("a\tNOUN\tx\n", "1: expected 'word TAB tag', found 3 columns"),
        ("a\tNOUN\nb\n", "2: no tag here, a tag above"),
        ("a\nb\tNOUN\n", "2: a tag here, no tag above"),
        ("a\tNOUN\n\nb\n", "3: no gold here, gold above"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserError) as error:
        list(tagging.read(path, tags=UPOS_TAGS))
    assert str(error.value).startswith(f"{path}:{message}")
    assert "\n" not in str(error.value)


UDPOS = {"train-en": 6000, "dev-en": 2002, "test-en": 2077, "test-de": 977, "test-lt": 684, "test-ro": 729}
UDPOS |= {"test-tl": 128, "test-wo": 470, "test-yo": 317}
PANX = {"train-en": 8000, "dev-en": 2000, **dict.fromkeys(("dev-de", "dev-ka", "dev-mr", "dev-sw"), 1000)}
PANX |= dict.fromkeys(("dev-gu", "dev-jv", "dev-my", "dev-pa", "dev-qu", "dev-yo"), 100)


@pytest.mark.parametrize(
    "name, count", [*((f"udpos/{k}", v) for k, v in UDPOS.items()), *((f"panx/{k}", v) for k, v in PANX.items())]
)
def test_real_files(shared_data: Path, name: str, count: int) -> None:
    tags = UPOS_TAGS if name.startswith("udpos") else WIKIANN_TAGS
    sentences = list(tagging.read(shared_data / f"{name}.tsv", tags=tags, need_gold=True))
    assert len(sentences) == count
    assert all(sentence.tags and len(sentence.words) == len(sentence.tags) for sentence in sentences)
    assert sum(len(sentence.words) for sentence in sentences) > count
