"""Answers cut as the public recipes cut them: at words, and what their pieces cover only where those are found in them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny import tiny_benchmark, tiny_model
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xdist.config import Evaluate, load_run
from xdist.evaluation.request import Request
from xdist.formats.examples import Answer, Question
from xdist.tasks.catalog import task
from xdist.tasks.family import Row
from xdist.tasks.official_answers import found_in, official_answer, parts
from xdist.tasks.span_qa import SpanQA


class Table:
    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    def row(self, number: int) -> Row:
        return self.rows[number]

    def column(self, name: str) -> np.ndarray:
        return np.array([row[name] for row in self.rows])


@pytest.mark.parametrize(
    "context, answer, pieces, expected",
    [
        # What clings to the words goes, where the pieces are found.
        ('He won the "Big Prize", in May.', "Big Prize", "Big Prize", "Big Prize"),
        # A mark inside: XLM-R's pieces have no blanks around it, WordPiece's do.
        ("In the (U.S.) army", "U.S.", "U.S.", "(U.S.)"),
        ("In the (U.S.) army", "U.S.", "U . S .", "U.S."),
        # Chinese: a word at white space is a clause, and its characters are alone.
        ("首都是北京市。 人口很多。", "北京市", "北京市", "首都是北京市。"),
        ("首都是北京市。 人口很多。", "北京市", "北 京 市", "北京市"),
        ("曾以 136 次擒杀", "136", "136", "136"),
        # Part of a word.
        ("unbelievable things", "believ", "believ", "believ"),
        ("unbelievable things", "believ", "##believ", "unbelievable"),
        # White space of any kind between words becomes a blank; U+00A0 parts none.
        ("a\tb\n c d", "b\n c", "b c", "b c"),
        ("le 5\u00a0mai, oui", "mai", "mai", "5\u00a0mai,"),
        # The blank that a piece begins with.
        ("am See liegt", " See", "See", "See"),
        ("am See liegt", "See", "", "See"),
    ],
)
def test_official_cuts(context: str, answer: str, pieces: str, expected: str) -> None:
    begin = context.index(answer)
    assert official_answer(context, begin, begin + len(answer), pieces) == expected


def test_official_parts() -> None:
    assert parts("(U.S.) 北京，ok") == ["(", "U", ".", "S", ".", ")", "北", "京", "，", "ok"]
    assert parts("a\u00a0b\u200bc") == ["a", "bc"]
    assert found_in("bc", "a b\u200bc") == "a b\u200bc"  # a sign is left out, so nothing can be counted off
    assert found_in("a", "a") == "a"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    folder = tmp_path_factory.mktemp("official")
    return AutoTokenizer.from_pretrained(tiny_model(folder / "encoder", tiny_benchmark(folder / "benchmark")))


def test_official_answers_of_the_same_spans(tokenizer: PreTrainedTokenizerBase) -> None:
    """Gold spans of prepared rows, cut in both ways: pieces are those of the row, in any window."""
    family = SpanQA(task("xquad"))
    text = "Peru and (Chad) met; " * 9 + "then Kenya, Peru; came"
    wanted = {"a": ("(Chad)", "Chad", "Chad"), "b": ("Kenya, Peru", "Kenya, Peru", "Kenya, Peru;")}
    examples = []
    for key, (place, _, _) in wanted.items():
        start = text.rindex(place) + (place[0] == "(")
        answers = (Answer(start=start, text=place.strip("()")),)
        examples.append(Question(key=key, id=key, question="who?", context=text, answers=answers))
    rows = list(family.encode(examples, tokenizer, 40))
    found = []
    for row in rows:
        inside = row["start"] > 0
        first, last = row["start"] - row["context"], row["end"] - row["context"]
        found.append(np.array([[1.0, row["begins"][first], row["ends"][last]]]) if inside else np.zeros((0, 3)))
    assert family.finish(found, Table(rows), examples) == {key: offsets for key, (_, offsets, _) in wanted.items()}
    family.finish_as(Evaluate(tasks=("xquad",), answers="official"), tokenizer)
    assert family.finish(found, Table(rows), examples) == {key: official for key, (_, _, official) in wanted.items()}
    family.finish_as(Evaluate(tasks=("xquad",)), tokenizer)
    assert family.finish(found, Table(rows), examples)["b"] == "Kenya, Peru"


def test_scores_say_how_answers_were_cut(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("name: a\nfolder: b\nmodel: {backbone: x}\ndata: {root: y}\nevaluate: {tasks: [xquad, xnli]}\n")
    for answers in ("offsets", "official"):
        run = load_run(path, [f"evaluate.answers={answers}"])
        how = SimpleNamespace(how=run.evaluate, data=run.data, smoothing=None, align=None, adapter=None, parses=None)
        assert Request.options(how, task("xquad"))["evaluate.answers"] == answers  # type: ignore[arg-type]
        assert "evaluate.answers" not in Request.options(how, task("xnli"))  # type: ignore[arg-type]
        assert Request.options(how, task("xglue-wpr"))["evaluate.relevance"] == "class"  # type: ignore[arg-type]
