"""Is there gold in this file? In all of it or in none: a mixture would show a blanked test set as gold.

Readers say by None in the gold field that the file holds none; all checks are here.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from xdist.errors import UserError
from xdist.formats.examples import Choice, Classified, Example, Query, Question, Sentence, Tagged
from xdist.languages import are_pairs

E = TypeVar("E", bound=Example)

# What is said of a test set without gold, at the check, at the end and in reports.
NO_GOLD = "no gold: predicted, not scored"
# Of two sides of a development set, which is next to a test set; its gold is not what the test set is scored by.
BESIDE = "dev-"
MOST = 15  # languages named one by one


def gold_of(example: Any) -> object | None:
    """The gold field of an example of any kind, alone or as (what it is, example); None where it is blanked, and for passages
    and the development set next to a test set, which have none to be scored by."""
    match example:
        case Classified(label=label):
            return label
        case Choice(label=index):
            return index
        case Tagged(tags=tags):
            return tags
        case Question(answers=answers):
            return answers
        case Sentence(gold=gold):
            return gold
        case Query(relevant=relevant) | (Query(relevant=relevant), _):
            return relevant
        case (str() as side, Sentence() | Query() as value) if not side.startswith(BESIDE):
            return gold_of(value)
    return None


def labelled(examples: Iterable[Any]) -> bool:
    """Whether a file of these examples holds gold. Of two sides one has it."""
    return any(gold_of(example) is not None for example in examples)


def name_languages(codes: Sequence[str]) -> str:
    """Languages or pairs without gold, by their number where they are many."""
    what = "pairs" if are_pairs(codes) else "languages"
    return ", ".join(codes) if len(codes) <= MOST else f"{len(codes)} {what}"


def without_gold(example: Any) -> Any:
    """The example as it is where the file holds no gold."""
    match example:
        case Classified() | Choice():
            return replace(example, label=None)
        case Tagged():
            return replace(example, tags=None)
        case Question():
            return replace(example, answers=None)
        case Sentence():
            return replace(example, gold=None)
        case Query():
            return replace(example, relevant=None)
        case (str() as side, value) if not side.startswith(BESIDE):
            return side, without_gold(value)
    return example


def with_uniform_gold(rows: Iterable[tuple[str, E]], need_gold: bool, expected: str = "") -> Iterator[E]:
    """The examples of `rows`, each given with its place ('file:line') for messages; `expected` says where gold would be.

    Raises UserError where an example without gold follows one with gold or the reverse, and, under `need_gold`
    (training and development splits), at the first example without gold.
    """
    first: bool | None = None
    begin = ""
    for where, example in rows:
        has = gold_of(example) is not None
        if need_gold and not has:
            what = f" (expected: {expected})" if expected else ""
            raise UserError(f"{where}: gold is missing or blanked, and this split needs it{what}")
        if first is None:
            first, begin = has, where
        if has != first:
            here, above = ("gold", f"no gold above (from {begin} on)") if has else ("no gold", "gold above")
            raise UserError(f"{where}: {here} here, {above}")
        yield example
