import json
from pathlib import Path
from typing import Any

import pytest

from xdist.errors import UserError
from xdist.formats import choice
from xdist.formats.examples import Choice

COPA = {"premise": "Wasi.", "choice1": "huk", "choice2": "iskay", "question": "cause", "label": 1, "idx": 0}
SIQA = {"context": "C.", "question": "Q?", "answerA": "a", "answerB": "b", "answerC": "c", "correct": "B"}


def write(folder: Path, *records: dict[str, Any]) -> Path:
    path = folder / "test-qu.jsonl"
    path.write_text("".join(json.dumps(record) + "\r\n" for record in records))
    return path


def test_copa_is_asked_in_english(tmp_path: Path) -> None:
    path = write(tmp_path, COPA, {**COPA, "question": "effect", "label": 0, "changed": True})
    assert list(choice.read_copa(path, need_gold=True)) == [
        Choice(prompt="Wasi. What was the cause?", options=("huk", "iskay"), label=1),
        Choice(prompt="Wasi. What was the effect?", options=("huk", "iskay"), label=0),
    ]


def test_a_file_of_zeros_is_blanked_gold(tmp_path: Path) -> None:
    path = write(tmp_path, *({**COPA, "label": 0} for _ in range(5)))
    assert [row.label for row in choice.read_copa(path)] == [None] * 5
    with pytest.raises(
        UserError,
        match=r"test-qu.jsonl:1: gold is missing or blanked, and this split needs it \(expected: field 'label'",
    ):
        list(choice.read_copa(path, need_gold=True))
    one = write(tmp_path, *({**COPA, "label": 0} for _ in range(5)), COPA)
    assert [row.label for row in choice.read_copa(one)] == [0] * 5 + [1]


def test_hidden_labels(tmp_path: Path) -> None:
    hidden = {key: value for key, value in COPA.items() if key != "label"}
    assert next(choice.read_copa(write(tmp_path, hidden))).label is None
    assert next(choice.read_copa(write(tmp_path, {**COPA, "label": -1}))).label is None
    assert next(choice.read_siqa(write(tmp_path, {**SIQA, "correct": ""}))).label is None


def test_siqa(tmp_path: Path) -> None:
    assert list(choice.read_siqa(write(tmp_path, SIQA), need_gold=True)) == [
        Choice(prompt="C. Q?", options=("a", "b", "c"), label=1)
    ]


@pytest.mark.parametrize(
    "record, message",
    [
        ({**COPA, "question": "effects"}, "unknown question 'effects': did you mean 'effect'? (valid: cause, effect)"),
        ({**COPA, "label": 2}, "unknown label '2'"),
        ({**COPA, "label": "1"}, "field 'label' must be int, found str '1'"),
        ({"premis": "x", **{k: v for k, v in COPA.items() if k != "premise"}}, "no field 'premise'; nearest: 'premis'"),
        ({**COPA, "label": -1}, "no gold here, gold above"),
    ],
)
def test_bad_copa(tmp_path: Path, record: dict[str, Any], message: str) -> None:
    path = write(tmp_path, COPA, record)
    with pytest.raises(UserError) as error:
        list(choice.read_copa(path))
    assert str(error.value).startswith(f"{path}:2: {message}")


def test_bad_siqa(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"test-qu.jsonl:1: unknown answer 'D'"):
        list(choice.read_siqa(write(tmp_path, {**SIQA, "correct": "D"})))


XCOPA = ["et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"]


@pytest.mark.parametrize("split, count", [("val", 100), ("test", 500)])
def test_real_xcopa(shared_data: Path, split: str, count: int) -> None:
    english = [row.label for row in choice.read_copa(shared_data / "xcopa" / f"{split}-en.jsonl", need_gold=True)]
    for code in XCOPA:
        rows = list(choice.read_copa(shared_data / "xcopa" / f"{split}-{code}.jsonl", need_gold=True))
        assert len(rows) == count
        assert [row.label for row in rows] == english
        assert all(row.prompt.endswith(("What was the cause?", "What was the effect?")) for row in rows)


def test_real_copa_and_siqa(shared_data: Path) -> None:
    assert len(list(choice.read_copa(shared_data / "xcopa" / "train-en.jsonl", need_gold=True))) == 400
    for split, count in (("dev", 1954), ("tst", 2224)):
        rows = list(choice.read_siqa(shared_data / "siqa" / f"socialIQa_v1.4_{split}.jsonl", need_gold=True))
        assert len(rows) == count
        assert {row.label for row in rows} == {0, 1, 2}
