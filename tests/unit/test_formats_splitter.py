import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdist.formats.splitter import sentences


@pytest.mark.parametrize(
    "parts",
    [
        ["Dr. J. A. Smith met Mrs. Jones, Jr. of St. Louis at 5 p.m. on Jan. 3.", "He left."],
        ["It cost $3.5 million.", "Why?", "“Nobody knows.”", "(Not even she!)", "So be it..."],
        ["In the U.S. the law, e.g. No. 5, changed cf. vol. 2.", "It failed."],
        ["He said no.", "No one came.", "It was in May.", "3 left."],
        ["Wait... what is it?!", "Yes."],
        ["One sentence without an end"],
    ],
)
def test_english_prose(parts: list[str]) -> None:
    text = " ".join(parts)
    assert [text[start:end] for start, end in sentences(text)] == parts


@given(st.text(st.sampled_from(list('Ab. !?\n"…1’)')), max_size=60))
def test_sentences_hold_all_that_is_not_space(text: str) -> None:
    spans = list(sentences(text))
    assert "".join("".join(text[start:end].split()) for start, end in spans) == "".join(text.split())
    assert all(text[start:end].strip() == text[start:end] != "" for start, end in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


def test_real_paragraphs_are_split_as_officially(shared_data: Path) -> None:
    """LAReQA's English file carries the boundaries of the official splitter: 99 % of the answers get the same sentence."""
    same = total = 0
    file = json.loads((shared_data / "lareqa/xquad-r/en.json").read_text(encoding="utf-8"))
    for paragraph in (paragraph for article in file["data"] for paragraph in article["paragraphs"]):
        text, spans = paragraph["context"], list(sentences(paragraph["context"]))
        for question in paragraph["qas"]:
            at = question["answers"][0]["answer_start"]
            (ours,) = [text[start:end] for start, end in spans if start <= at < end]
            official = [text[start:end].strip() for start, end in paragraph["sentence_breaks"] if start <= at < end]
            same, total = same + (official == [ours]), total + 1
    assert total == 1190
    assert same / total >= 0.99
