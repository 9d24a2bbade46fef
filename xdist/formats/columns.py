"""Which columns of a table make an Example: one small value per hub data set, declared in the task catalog.

Columns(kind="classified", texts=("premise", "hypothesis"), gold="label", names=("entailment", "neutral", ...))
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from xdist.errors import UserError, unknown
from xdist.formats.choice import copa_prompt, siqa_prompt
from xdist.formats.examples import Choice, Classified, Example, Pair, Passage, Query, Question, Sentence, Tagged
from xdist.formats.lines import nearest_name, show_value
from xdist.formats.squad import answers

RowKind = Literal[
    "classified",
    "titled",
    "copa",
    "siqa",
    "listed",
    "tagged",
    "question",
    "squad2",
    "sentence",
    "aligned",
    "passage",
    "query",
    "pair",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """`kind` says what a row becomes and what is in `texts` and `gold`, in this order:

    | kind | texts | gold |
    |---|---|---|
    | classified | one or two texts | class |
    | titled | query, title, text: title and text become one | class |
    | copa, siqa | premise, question, options … | index of the right option, or its name in `names` |
    | listed | prompt, list of options | index of the right option, or its name in `names` |
    | tagged | list of words | list of classes |
    | question, squad2 | question, context | struct of lists `text` and `answer_start`; empty lists: see below |
    | sentence, aligned | text | none; aligned: row i translates row i of the other side |
    | passage | text, or text and context | none |
    | query | text | id of the candidate, or a list of ids |
    | pair | text of the query, text of its answer | none |

    A column is named as in the table, `a|b` where some files call it b; `premise.en` is the field `en` of a struct column, or
    the translation into `en` of a column of {language, translation} lists. A class is an integer or a name; the names of
    integers are `names` or, where that is empty, those that the hub's `datasets` library writes into the file; `labels` are
    what the task calls them, where it does otherwise. Null, "" and -1 are blanked gold, and so are empty answer lists, except
    in squad2, where they say that there is no answer. Without `id` the 0-based row is the id. `agreed`: rows without a label
    are those on which annotators did not agree, and are left out.
    """

    kind: RowKind
    texts: tuple[str, ...]
    gold: str | None = None
    names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    id: str | None = None
    agreed: bool = False

    def example(self, row: Mapping[str, Any], number: int, names: Sequence[str], where: str) -> Example:
        """The Example of a row; `number` is its 0-based place, `names` the class names that hold for the file.
        Raises UserError for a column or field that is missing, a value of the wrong type, an unknown class."""
        texts = [value_at(row, column, where) for column in self.texts]
        gold = value_at(row, self.gold, where) if self.gold else None
        id = _name(value_at(row, self.id, where), self.id, where) if self.id else str(number)
        for place, (column, value) in enumerate(zip(self.texts, texts, strict=True)):
            if self.kind == "tagged" or (self.kind == "listed" and place):
                _texts(value, column, where)
            elif not isinstance(value, str):
                raise UserError(f"{where}: column '{column}' cannot hold {_value_text(value)}")
        return _MAKE[self.kind](texts, gold, id, names, where)


def value_at(row: Mapping[str, Any], column: str, where: str) -> Any:
    """The value under a dotted column name. Raises UserError with the nearest name that exists."""
    value: Any = row
    for name in column.split("."):
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, Mapping) and name in (translations := _translations(value)):
            value = translations[name]
        else:
            found = (_translations(value) or value) if isinstance(value, Mapping) else {}
            raise UserError(f"{where}: no '{name}' for column '{column}'{nearest_name(name, found)}")
    return value


def _translations(value: Mapping[str, Any]) -> dict[Any, Any]:
    """What a struct of two lists, `language` and `translation`, holds by language; nothing where it is no such struct."""
    codes, texts = value.get("language"), value.get("translation")
    if not isinstance(codes, list) or not isinstance(texts, list) or len(codes) != len(texts):
        return {}
    return {code: text for code, text in zip(codes, texts, strict=True) if isinstance(code, str)}


def _value_text(value: Any) -> str:
    return "bytes that are not UTF-8" if isinstance(value, bytes) else show_value(value)


def _texts(value: Any, column: str, where: str) -> None:
    if not isinstance(value, list):
        raise UserError(f"{where}: column '{column}' cannot hold {_value_text(value)}")
    for number, item in enumerate(value, start=1):
        if not isinstance(item, str):
            raise UserError(f"{where}: column '{column}': item {number} cannot be {_value_text(item)}")


def _name(value: Any, column: str | None, where: str) -> str:
    """An id, which may be a number."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise UserError(f"{where}: column '{column}' holds no id but {_value_text(value)}")
    return str(value)


def _classified(texts: list[str], gold: Any, id: str, names: Sequence[str], where: str) -> Classified:
    return Classified(texts=tuple(texts), label=_class(gold, names, where))


def _titled(texts: list[str], gold: Any, id: str, names: Sequence[str], where: str) -> Classified:
    query, title, text = texts
    return Classified(texts=(query, f"{title} {text}"), label=_class(gold, names, where))


def _copa(texts: list[str], gold: Any, id: str, names: Sequence[str], where: str) -> Choice:
    premise, question, *options = texts
    prompt = copa_prompt(premise, question, where)
    return Choice(prompt=prompt, options=tuple(options), label=_index(gold, names, len(options), where))


def _siqa(texts: list[str], gold: Any, id: str, names: Sequence[str], where: str) -> Choice:
    context, question, *options = texts
    prompt = siqa_prompt(context, question)
    return Choice(prompt=prompt, options=tuple(options), label=_index(gold, names, len(options), where))


def _listed(texts: list[Any], gold: Any, id: str, names: Sequence[str], where: str) -> Choice:
    prompt, options = texts
    return Choice(prompt=prompt, options=tuple(options), label=_index(gold, names, len(options), where))


def _tagged(texts: list[list[str]], gold: Any, id: str, names: Sequence[str], where: str) -> Tagged:
    words = tuple(texts[0])
    if gold is not None and not isinstance(gold, list):
        raise UserError(f"{where}: expected a list of tags, found {_value_text(gold)}")
    tags = [_class(tag, names, where) for tag in gold or ()]
    if not any(tags):
        return Tagged(words=words)
    if len(tags) != len(words) or not all(tags):
        raise UserError(f"{where}: {sum(tag is not None for tag in tags)} tags for {len(words)} words")
    return Tagged(words=words, tags=tuple(tag for tag in tags if tag))


def _question(texts: list[str], gold: Any, id: str, names: Sequence[str], where: str) -> Question:
    question, context = texts
    spans_read = None
    if gold is not None:
        spans = (value_at(gold, "answer_start", where), value_at(gold, "text", where))
        if not all(isinstance(span, list) for span in spans) or len(spans[0]) != len(spans[1]):
            raise UserError(f"{where}: answers must be two lists of one length, found {_lengths(spans)}")
        for start, text in zip(*spans, strict=True):
            if not isinstance(start, int) or isinstance(start, bool) or not isinstance(text, str):
                raise UserError(
                    f"{where}: an answer is a number and a text, found {_value_text(start)} and {_value_text(text)}"
                )
        spans_read = answers(context, zip(*spans, strict=True), f"{where}: question '{id}'")
    return Question(key=id, id=id, question=question, context=context, answers=spans_read)


def _lengths(spans: tuple[Any, Any]) -> str:
    return " and ".join(f"{len(span)} values" if isinstance(span, list) else _value_text(span) for span in spans)


def _squad2(texts: list[str], gold: Any, id: str, names: Sequence[str], where: str) -> Question:
    question = _question(texts, gold, id, names, where)
    if gold is not None and not gold["text"]:
        return Question(key=id, id=id, question=question.question, context=question.context, answers=())
    return question


def _sentence(texts: list[str], gold: Any, id: str, names: Sequence[str], where: str) -> Sentence:
    return Sentence(id=id, text=texts[0].strip())


def _aligned(texts: list[str], gold: Any, id: str, names: Sequence[str], where: str) -> Sentence:
    return Sentence(id=id, text=texts[0].strip(), gold=id)


def _passage(texts: list[str], gold: Any, id: str, names: Sequence[str], where: str) -> Passage:
    return Passage(id=id, text=texts[0], context=texts[1] if len(texts) > 1 else "")


def _query(texts: list[str], gold: Any, id: str, names: Sequence[str], where: str) -> Query:
    ids = [item for item in (gold if isinstance(gold, list) else [gold]) if item not in (None, "")]
    relevant = tuple(_name(item, "gold", where) for item in ids)
    return Query(id=id, text=texts[0], relevant=relevant or None)


def _pair(texts: list[str], gold: Any, id: str, names: Sequence[str], where: str) -> Pair:
    query, answer = texts
    return Query(id=id, text=query, relevant=(id,)), Passage(id=id, text=answer)


_MAKE: dict[str, Callable[[Any, Any, str, Sequence[str], str], Example]] = {
    "classified": _classified,
    "titled": _titled,
    "copa": _copa,
    "siqa": _siqa,
    "listed": _listed,
    "tagged": _tagged,
    "question": _question,
    "squad2": _squad2,
    "sentence": _sentence,
    "aligned": _aligned,
    "passage": _passage,
    "query": _query,
    "pair": _pair,
}


def _class(value: Any, names: Sequence[str], where: str) -> str | None:
    if value is None or value == -1 or value == "":
        return None
    if isinstance(value, str):
        if names and value not in names:
            raise UserError(f"{where}: {unknown('label', value, names)}")
        return value
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < len(names):
        found, there = (
            value if isinstance(value, int) else _value_text(value),
            f"{len(names)} names: {', '.join(names) or 'none'}",
        )
        raise UserError(f"{where}: class {found} has no name ({there})")
    return names[value]


def _index(value: Any, names: Sequence[str], options: int, where: str) -> int | None:
    name = _class(value, names or [str(index) for index in range(options)], where)
    return None if name is None else list(names).index(name) if names else int(name)
