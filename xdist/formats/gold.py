"""Is there gold in this file? Throughout or nowhere: a mixture would pass a blanked test set off as gold."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from xdist.errors import UserError
from xdist.formats.examples import Choice, Classified, Example, Query, Question, Sentence, Tagged

E = TypeVar("E", bound=Example)


def gold_of(example: Example) -> object | None:
    """The gold field of an example of any kind; None where it is blanked (and for passages, which have none)."""
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
    return None


def uniform(rows: Iterable[tuple[str, E]], need_gold: bool) -> Iterator[E]:
    """The examples of `rows`, each given with its place ('file:line') for messages.

    Raises UserError where an example without gold follows one with gold or the reverse, and, under `need_gold`
    (training and development splits), at the first example without gold.
    """
    first: bool | None = None
    for where, example in rows:
        has = gold_of(example) is not None
        if need_gold and not has:
            raise UserError(f"{where}: gold is missing or blanked, and this split needs it")
        if first is None:
            first = has
        if has != first:
            raise UserError(f"{where}: {'gold' if has else 'no gold'} here, {'gold' if first else 'no gold'} above")
        yield example
