"""Dependency trees of prepared rows, in addition to their tokens: from a text's words to its pieces, and from there to
distances.

A row's tree is two columns. `tree`: of each token the place of the token that it depends on. Pieces of a word after its first
depend on the first; the first depends on the first piece of the word's head; roots, those of both texts of a pair, depend on
the row's first token, which depends on itself. -1: a token in no tree, as other special ones. Behind the tokens stand the words
that were cut off and that others depend on: they are no part of what is read off, but distances go through them. `upos`: of
each token the number of its word's tag.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from xdist.config.syntax import Syntax, file_of
from xdist.data.subset import Subset
from xdist.errors import UserError, cut, unknown
from xdist.files import file_digest
from xdist.formats.parses import ROOT, UNTAGGED, ParsedText, bare, joined, parses_in

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from xdist.tasks.family import Row

COLUMNS = {"tree": pa.list_(pa.int32()), "upos": pa.list_(pa.int8())}
FAMILIES = ("classification", "tagging")  # of whose rows it is known which words their pieces belong to
FAR = 32767  # the distance of what is in no tree
NOWHERE = -1
# Targets of a batch.
DISTANCES, TAGS = "tree_distances", "upos"


@dataclass(frozen=True, slots=True)
class Trees:
    """Where the trees of rows come from: the files of a section `model.syntax`, which can be sent to another process."""

    kind: str
    parses: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, section: Syntax | None) -> Trees | None:
        """None where no tree is read."""
        return None if section is None or not section.read else cls(section.kind, tuple(section.parses.items()))

    def file(self, subset: Subset) -> Path:
        """The file with the parses of a subset. Raises UserError for a task without, one whose trees are not known, or a file
        that is missing."""
        task = subset.task
        if task.family not in FAMILIES or task.pairs_of:
            raise UserError(f"'{task.name}': trees are of tasks of {' and '.join(FAMILIES)}, not of {task.family}")
        path = file_of(dict(self.parses), task.name, subset.split, subset.language)
        if path is None:
            raise UserError(unknown("task with parses", task.name, [name for name, _ in self.parses]))
        if not path.is_file():
            raise UserError(f"{path}: no such file: no parses of '{task.name}' {subset.split} in '{subset.language}'")
        return path

    def form(self, subset: Subset) -> list[str]:
        """What the columns of a subset depend on."""
        return ["syntax", self.kind, file_digest(self.file(subset))]

    def check(self, subset: Subset, root: Path) -> None:
        """Raises UserError for a subset with a text that has no parse."""
        path = self.file(subset)
        parses = parses_in(path)
        for number, example in enumerate(subset.task.examples(root, subset.split, subset.language)):
            for text in texts_of(example):
                if parses.of(text) is None:
                    raise _missing_parse(path, subset, number, text)

    def add_trees(
        self, rows: Iterable[Row], examples: Sequence[Any], subset: Subset, tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> Iterator[Row]:
        """`rows` of `examples` with their trees. Raises ExampleError for an example without a parse."""
        from xdist.tasks.family import ExampleError

        path = self.file(subset)
        parses = parses_in(path)
        seen, words = -1, 0
        for row in rows:
            number = row["example"]
            example = examples[number]
            found: list[ParsedText] = []
            for text in texts_of(example):
                if (parse := parses.of(text)) is None:
                    raise ExampleError(number, _no_parse_line(path, subset, text))
                found.append(parse if self.kind == "parses" else shuffle_words(parse))
            if subset.task.family == "tagging":
                words = words if seen == number else 0
                nodes = nodes_of_words(
                    row, example.words[words : words + len(row["words"])], words, example.words, found[0], tokenizer
                )
                seen, words = number, words + len(row["words"])
            else:
                nodes = nodes_of_texts(row, example.texts, found, tokenizer, max_length)
            yield {**row, **columns(nodes, joined(found))}


def _no_parse_line(path: Path, subset: Subset, text: str) -> str:
    return f"{path} has no parse of this text of '{subset.task.name}' in '{subset.language}': {cut(text, 60)!r}"


def _missing_parse(path: Path, subset: Subset, number: int, text: str) -> UserError:
    return UserError(f"{subset}: example {number + 1}: {_no_parse_line(path, subset, text)}")


def texts_of(example: Any) -> tuple[str, ...]:
    """The texts of an example, each of which has a parse."""
    return (" ".join(example.words),) if hasattr(example, "words") else tuple(example.texts)


def check_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises UserError for one that does not show which piece is of which word, or puts nothing before a text."""
    from xdist.tasks.special_tokens import around_text

    if not tokenizer.is_fast:
        raise UserError(f"model.syntax: the tokenizer of {tokenizer.name_or_path} does not show which piece is of which word")
    if not around_text(tokenizer)[0]:
        raise UserError(f"model.syntax: {tokenizer.name_or_path} puts no token before a text, on which roots could hang")


def shuffle_words(parse: ParsedText) -> ParsedText:
    """The same words with the same tags in random order over the shape of the tree; drawn by the words alone, so equal whenever
    and where it is requested."""
    draw = random.Random(int.from_bytes(hashlib.sha256("\n".join(parse.forms).encode()).digest()))
    size = len(parse.forms)
    order = sorted(range(size), key=lambda _: draw.random())  # word i takes the place of word order[i]
    back = [0] * size
    for word, place in enumerate(order):
        back[place] = word
    heads = tuple(ROOT if (head := parse.heads[place]) == ROOT else back[head] for place in order)
    return ParsedText(parse.forms, parse.tags, heads)


def nodes_of_words(
    row: Row, inside: Sequence[str], before: int, words: Sequence[str], parse: ParsedText, tokenizer: PreTrainedTokenizerBase
) -> np.ndarray:
    """Of each token of a row of tagged words, of which `before` of the sentence's `words` are in earlier rows, the number of
    the parse's word that it is of; NOWHERE."""
    node = _nodes(parse)
    start = sum(len(bare(word)) for word in words[:before])
    nodes = np.full(len(row["tokens"]), NOWHERE)
    places = [*map(int, row["words"]), len(row["tokens"]) - _tail(row["tokens"], tokenizer)]
    for number, word in enumerate(inside):
        size, first = len(bare(word)), places[number]
        # A word that begins in a piece that is another's first has none.
        if size and places[number - 1 : number] != [first]:
            nodes[first : next((place for place in places[number + 1 :] if place > first), first + 1)] = node[start]
        start += size
    return nodes


def _tail(tokens: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> int:
    """How many special tokens are at the end of a row."""
    special, count = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}, 0
    for token in reversed(tokens):
        if token not in special:
            break
        count += 1
    return count


def nodes_of_texts(
    row: Row, texts: Sequence[str], parses: Sequence[ParsedText], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> np.ndarray:
    """The same of a row of one text or a pair, cut to `max_length`; words of the second are counted on from those of the
    first."""
    encoded = tokenizer(*texts, truncation=True, max_length=max_length, return_offsets_mapping=True, verbose=False)
    assert list(encoded["input_ids"]) == list(row["tokens"])
    nodes = np.full(len(row["tokens"]), NOWHERE)
    first = 0
    for number, (text, parse) in enumerate(zip(texts, parses, strict=True)):
        node = _nodes(parse)
        # Of each character the number of those before it that are no white space; what begins in a blank is of the next word.
        counted = list(accumulate((not sign.isspace() for sign in text), initial=0))
        for place, (side, (begin, _)) in enumerate(zip(encoded.sequence_ids(), encoded["offset_mapping"], strict=True)):
            if side == number and counted[begin] < len(node):
                nodes[place] = first + node[counted[begin]]
        first += len(parse.forms)
    return nodes


def _nodes(parse: ParsedText) -> np.ndarray:
    """Of each character, white space left out, the number of its word."""
    return np.repeat(np.arange(len(parse.forms)), [len(form) for form in parse.forms])


def columns(nodes: np.ndarray, parse: ParsedText) -> dict[str, list[int]]:
    """The columns of a row whose tokens are of these words of `parse`."""
    own, size = nodes.tolist(), len(nodes)
    first: dict[int, int] = {}
    for place, node in enumerate(own):
        if node != NOWHERE:
            first.setdefault(node, place)
    tree = [NOWHERE] * size
    tree[0] = 0
    waiting = []
    for place, node in enumerate(own):
        if node == NOWHERE:
            continue
        if first[node] == place:
            waiting.append((place, node))
        else:
            tree[place] = first[node]
    while waiting:
        place, node = waiting.pop()
        head = parse.heads[node]
        if head == ROOT:
            tree[place] = 0
            continue
        if head not in first:  # cut off: it is behind the tokens
            first[head] = len(tree)
            tree.append(NOWHERE)
            waiting.append((first[head], head))
        tree[place] = first[head]
    return {"tree": tree, "upos": [UNTAGGED if node == NOWHERE else parse.tags[node] for node in own]}


def distances(tree: np.ndarray, size: int) -> np.ndarray:
    """(size, size) int16 distances of a row's tokens in its tree, FAR where one is in none; of a token to itself 0. The first
    token is the root, so its row is the depths."""
    inside = tree >= 0
    above = np.diag(inside)  # above[i, j]: j is i, or i depends on it
    step = np.where(inside, tree, np.arange(len(tree)))
    while True:
        above = above | above[step]
        further = step[step]
        if (further == step).all():
            break
        step = further
    path = above.astype(np.float32)
    deep = path.sum(1)
    found = deep[:, None] + deep - 2 * path @ path.T
    found[~inside] = FAR
    found[:, ~inside] = FAR
    np.fill_diagonal(found, 0)
    inner: np.ndarray = found[:size, :size].astype(np.int16)
    return inner


def targets_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """The targets of a batch of these rows; none of rows without trees. DISTANCES (sum of L * L,): the square of each row, one
    after another; TAGS (T,)."""
    import torch

    if not rows or "tree" not in rows[0]:
        return {}
    squares = [distances(np.asarray(row["tree"]), len(row["tokens"])).ravel() for row in rows]
    tags = np.concatenate([row["upos"] for row in rows]).astype(np.int64)
    return {DISTANCES: torch.from_numpy(np.concatenate(squares)), TAGS: torch.from_numpy(tags)}
