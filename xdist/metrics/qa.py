"""Exact match and F1 of extractive answers: the SQuAD v1.1 scorer (XQuAD, TyDiQA, SQuAD) and the MLQA scorer.

Sources: the SQuAD v1.1 evaluation script and facebookresearch/MLQA, mlqa_evaluation_v1.py, as used by
google-research/xtreme. Both take the maximum over the gold answers, for EM and F1 separately. F1 is 0 where no token is
shared, even if both sides are empty; EM is then 1.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from xdist.errors import UserError, unknown
from xdist.languages import code_among
from xdist.metrics.counts import Array, CountRows, Sums, ratio
from xdist.metrics.definition import Given, Metric, register

Normaliser = Callable[[str], str]

_ASCII_PUNCTUATION = frozenset(string.punctuation)
_SQUAD_ARTICLES = re.compile(r"\b(a|an|the)\b")
# None: the language has no articles, or (ar) they are not complete words.
_MLQA_ARTICLES: dict[str, re.Pattern[str] | None] = {
    "en": re.compile(r"\b(a|an|the)\b"),
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "hi": None,
    "ar": None,
    "zh": None,
}
_HAN = re.compile("([\u4e00-\u9fa5])")


def squad_normaliser(text: str) -> str:
    """Lower case, without ASCII punctuation and the words a, an, the; white space collapsed. For every language:
    Chinese, Japanese and Thai answers stay one token."""
    text = "".join(character for character in text.lower() if character not in _ASCII_PUNCTUATION)
    return " ".join(_SQUAD_ARTICLES.sub(" ", text).split())


def mlqa_normaliser(language: str) -> Normaliser:
    """The MLQA normaliser of a language: all Unicode punctuation and that language's articles go; in Chinese each Han
    character is a token. Raises UserError for a language that MLQA does not have."""
    code = code_among(tuple(_MLQA_ARTICLES), language)
    if code is None:
        raise UserError(unknown("MLQA language", language, _MLQA_ARTICLES))
    return partial(_mlqa, code)


def rows(predictions: Mapping[str, str], gold: Mapping[str, Sequence[str]], normaliser: Normaliser) -> CountRows:
    """Exact match, F1 and 1 for each question of `gold` (id to answer texts), in its order. Shape [n, 3], 0 to 1.

    A question without prediction scores 0; predictions for other ids are ignored. A question whose gold is an empty
    list has no answer (SQuAD 2.0, in no XTREME task): both scores are 1 for an empty prediction, else 0.
    """
    found = np.zeros((len(gold), 3))
    for number, (id, answers) in enumerate(gold.items()):
        found[number] = *(best(predictions[id], answers, normaliser) if id in predictions else (0.0, 0.0)), 1
    return found


def score(sums: Sums) -> dict[str, Array]:
    return {"exact_match": ratio(sums[:, 0], sums[:, 2]), "f1": ratio(sums[:, 1], sums[:, 2])}


def best(prediction: str, answers: Sequence[str], normaliser: Normaliser) -> tuple[float, float]:
    """The highest exact match and the highest F1 of one prediction over its gold answers, 0 to 1."""
    predicted = normaliser(prediction)
    if not answers:
        empty = float(not predicted)
        return empty, empty
    golds = [normaliser(answer) for answer in answers]
    return float(predicted in golds), max(token_f1(predicted.split(), answer.split()) for answer in golds)


def token_f1(predicted: Sequence[str], gold: Sequence[str]) -> float:
    """F1 of two bags of tokens; 0 when they share none, even if both are empty."""
    shared = sum((Counter(predicted) & Counter(gold)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(predicted), shared / len(gold)
    return 2 * precision * recall / (precision + recall)


def _mlqa(language: str, text: str) -> str:
    text = "".join(character for character in text.lower() if not _is_punctuation(character))
    articles = _MLQA_ARTICLES[language]
    if articles:
        text = articles.sub(" ", text)
    elif language == "ar":
        # At every occurrence of the two letters, inside words too: the official expression says so.
        text = text.replace("ال", " ")
    elif language == "zh":
        text = _HAN.sub(r" \1 ", text)
    return " ".join(text.split())


def _is_punctuation(character: str) -> bool:
    return character in _ASCII_PUNCTUATION or unicodedata.category(character).startswith("P")


def _squad_rows(predictions: Mapping[str, str], gold: Mapping[str, Sequence[str]], given: Given) -> CountRows:
    return rows(predictions, gold, squad_normaliser)


def _mlqa_rows(predictions: Mapping[str, str], gold: Mapping[str, Sequence[str]], given: Given) -> CountRows:
    return rows(predictions, gold, mlqa_normaliser(given.language))


def _not_of_mlqa(labels: Sequence[str], languages: Sequence[str]) -> str | None:
    for code in languages:
        if code_among(tuple(_MLQA_ARTICLES), code) is None:
            return unknown("MLQA language", code, _MLQA_ARTICLES)
    return None


SQUAD = register(
    Metric(
        name="squad",
        about="F1 of the words of an answer, and exact match, as SQuAD v1.1 scores them",
        families=("span-qa",),
        numbers=("f1", "exact_match"),
        rows=_squad_rows,
        score=score,
        in_average=("exact_match", "f1"),
    )
)
MLQA = register(
    replace(SQUAD, name="mlqa", about="the same as MLQA scores them, in its languages", rows=_mlqa_rows, refuses=_not_of_mlqa)
)
