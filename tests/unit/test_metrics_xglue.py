"""What XGLUE's scorer counts, by vectors made by running it: tags as both versions of seqeval see them, and answers."""

import json
from pathlib import Path

import pytest

from xdist.metrics import qa
from xdist.metrics.spans import OFFICIAL, XGLUE_POS

FILES = Path(__file__).parent / "golden/bare_tags_seqeval_1.2.2.jsonl"

# gold, prediction, precision by seqeval 0.0.12 and by 1.2.2
VECTORS = [
    ("CCONJ NOUN", "SCONJ NOUN", 0.5, 1.0),
    ("X X X", "X X X", 1.0, 0.0),
    ("DET ADJ NOUN NOUN PUNCT", "DET NOUN NOUN NOUN PUNCT", 2 / 3, 2 / 3),
    ("NOUN VERB NOUN", "NOUN NOUN NOUN", 0.0, 0.0),
    ("DET NOUN", "DET O", 1.0, 1.0),
    ("I-PER I-PER O B-LOC", "B-PER I-PER O I-LOC", 1.0, 1.0),
    ("I-LOC B-LOC O", "I-LOC I-LOC O", 0.0, 0.0),
]


def numbers(gold: str, predictions: str) -> dict[str, float]:
    return XGLUE_POS.of_rows(XGLUE_POS.rows_of([predictions.split()], [gold.split()]))


@pytest.mark.parametrize("gold, predictions, first, second", VECTORS)
def test_xglue_tag_vectors(gold: str, predictions: str, first: float, second: float) -> None:
    found = numbers(gold, predictions)
    assert XGLUE_POS.headline == "precision"
    assert found["precision"] == pytest.approx(100 * first)
    assert found["precision_seqeval_1.2.2"] == pytest.approx(100 * second)


def test_xglue_accuracy_and_f1_stand_beside_the_official_figure() -> None:
    found = numbers("DET ADJ NOUN NOUN PUNCT", "DET NOUN NOUN NOUN PUNCT")
    assert (found["accuracy"], found["f1"]) == (pytest.approx(80), pytest.approx(57.142857))
    assert numbers("NOUN VERB NOUN", "NOUN NOUN NOUN")["accuracy"] == pytest.approx(200 / 3)
    assert numbers("DET NOUN", "DET O")["f1"] == pytest.approx(200 / 3)


@pytest.mark.parametrize("line", FILES.read_text().splitlines())
def test_xglue_tags_of_whole_files_are_those_of_seqeval_1_2_2(line: str) -> None:
    file = json.loads(line)
    found = OFFICIAL.of_rows(OFFICIAL.rows_of(file["predictions"], file["gold"]))
    assert found["precision_seqeval_1.2.2"] == pytest.approx(100 * file["precision"], abs=1e-10)
    assert found["f1_seqeval_1.2.2"] == pytest.approx(100 * file["f1"], abs=1e-10)


def test_xglue_mlqa_scores_in_the_language_of_the_context() -> None:
    assert qa.best("北京市", ["北京"], qa.mlqa_normaliser("zh")) == (0.0, pytest.approx(0.8))
    assert qa.best("der Bär", ["Bär"], qa.mlqa_normaliser("de")) == (1.0, 1.0)
