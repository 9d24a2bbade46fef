"""What a reader gives: one frozen value per example, as published, before any tokenizer has seen it.

The gold field of each (`label`, `tags`, `answers`, `gold`, `relevant`) is None where the file holds no gold: the
official scripts blank most test sets.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """One text, or a pair of texts, and its label string. Classification of names, XNLI, PAWS-X, AmericasNLI."""

    texts: tuple[str, ...]
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A first segment, the options that may follow it, and the index of the right one. COPA, XCOPA, Social IQa."""

    prompt: str
    options: tuple[str, ...]
    label: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """A sentence as words with one tag each. UD-POS, WikiANN."""

    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    # Of each word whether the next one follows without a blank, where the file says so. What a model saw of an example is
    # known by how it is shown, so it is shown only then.
    glued: tuple[bool, ...] | None = None

    def __repr__(self) -> str:
        glued = f", glued={self.glued!r}" if self.glued else ""
        return f"Tagged(words={self.words!r}, tags={self.tags!r}{glued})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer and the offset, in code points, at which it is in its context."""

    start: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question about a context. `key` is unique in its file even where the published `id` is not (TyDiQA train).
    `answers` is () where the question is known to have none (SQuAD 2.0). XQuAD, MLQA, TyDiQA, SQuAD."""

    key: str
    id: str
    question: str
    context: str
    answers: tuple[Answer, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One side of a parallel corpus; `gold` is the row of its translation on the other side. Tatoeba, BUCC, NTREX."""

    id: str
    text: str
    gold: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A retrieval candidate: a sentence (or description) and the paragraph that it is in. LAReQA, Mewsli-X."""

    id: str
    text: str
    context: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A retrieval query and the ids of the candidates that answer it. LAReQA, Mewsli-X."""

    id: str
    text: str
    relevant: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of running text; `new`: it begins a document. With a `translation` it is alone. Masked language modelling."""

    number: int  # of the line or record in its source, from 1
    text: str
    new: bool = False
    translation: str | None = None


# What a dual encoder is trained on: a query and the passage that answers it.
Pair = tuple[Query, Passage]

Example = Classified | Choice | Tagged | Question | Sentence | Passage | Query | Line | Pair
