"""Dependency trees from CoNLL-U files to the pieces of rows: words written as one, empty nodes, cut rows, broken files."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_words import arrays, words_tokenizer
from transformers import PreTrainedTokenizerBase

from xdist.data.trees import FAR, NOWHERE, columns, distances, nodes_of_texts, nodes_of_words, shuffle_words
from xdist.errors import UserError
from xdist.formats.examples import Classified, Tagged
from xdist.formats.parses import ROOT, UNTAGGED, ParsedText, Parses
from xdist.formats.tagging import UPOS_TAGS
from xdist.tasks.catalog import task
from xdist.tasks.classification import Classification
from xdist.tasks.tagging import Tagging

MARCH = """# text = Vámonos al mar
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tVamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\ta\tADP\t_\t_\t5\tcase\t_\t_
4\tel\tel\tDET\t_\t_\t5\tdet\t_\t_
4.1\tgran\tgran\tADJ\t_\t_\t_\t_\t_\t_
5\tmar\tmar\tNOUN\t_\t_\t1\tobl\t_\t_

"""


def line(number: int, form: str, head: int, tag: str = "NOUN") -> str:
    return f"{number}\t{form}\t_\t{tag}\t_\t_\t{head}\tdep\t_\t_\n"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return words_tokenizer(tmp_path_factory.mktemp("words") / "tokenizer")


def test_syntax_words_written_as_one_have_the_analysis_of_their_first(tmp_path: Path) -> None:
    path = tmp_path / "es.conllu"
    path.write_text(MARCH, encoding="utf-8")
    parses = Parses(path)
    written = parses.of("Vámonos  al\u00a0mar")
    assert written == ParsedText(("Vámonos", "al", "mar"), tuple(map(UPOS_TAGS.index, ("VERB", "ADP", "NOUN"))), (ROOT, 2, 0))
    parts = parses.of("Vamos nos a el mar")
    assert parts is not None
    assert (parts.forms, parts.heads) == (("Vamos", "nos", "a", "el", "mar"), (ROOT, 0, 4, 4, 0))
    assert parses.of("mar") is None


def test_syntax_sentences_of_a_document_are_one_text(tmp_path: Path) -> None:
    path = tmp_path / "en.conllu"
    path.write_text(
        "# newdoc id = 1\n" + line(1, "Go", 0) + "\n" + line(1, "Now", 0) + line(2, "!", 1) + "\n# newdoc\n" + line(1, "No", 0)
    )
    assert Parses(path).of("Go Now!") == ParsedText(("Go", "Now", "!"), (7,) * 3, (ROOT, ROOT, 1))
    assert Parses(path).of("Now!") is None
    path.write_text(line(1, "Go", 0) + "\n" + line(1, "Now", 0))
    assert Parses(path).of("Now") is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (line(1, "a", 2) + line(2, "b", 1), "1: the word depends on itself: heads go in a circle"),
        (line(1, "a", 3), "1: the head 3 is no word of this sentence, which has 1"),
        (line(1, "a", 0).replace("\t0\t", "\t_\t"), "1: column 7 is '_': expected the number of the word's head, 0 of a root"),
        (line(1, "a", 0) + line(3, "b", 1), "2: expected word 2, found '3'"),
        (line(1, "a", 0, "NUMB"), "1: unknown tag 'NUMB': did you mean 'NUM'?"),
        ("a\tNOUN\n", "1: expected the 10 columns of CoNLL-U, found 2"),
        ("1-3\tab" + "\t_" * 8 + "\n" + line(1, "a", 0) + line(2, "b", 1), "3: the sentence ends before word 3"),
    ],
)
def test_syntax_broken_files_are_named_by_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.conllu"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        Parses(path)
    assert str(caught.value).startswith(f"{path}:{said}")


@st.composite
def sentences(draw: st.DrawFn) -> tuple[str, int]:
    """The lines of a random sentence, heads a tree in any order, some neighbours written as one, and some empty nodes."""
    size = draw(st.integers(1, 9))
    order = draw(st.permutations(range(1, size + 1)))
    heads = {word: 0 if at == 0 else draw(st.sampled_from([0, *order[:at]])) for at, word in enumerate(order)}
    lines, number = [], 1
    while number <= size:
        last = min(size, number + draw(st.sampled_from([0, 0, 1, 2])))
        if last > number:
            lines.append(f"{number}-{last}\tw{number}{last}" + "\t_" * 8 + "\n")
        for one in range(number, last + 1):
            lines.append(line(one, f"f{one}", heads[one]))
            if draw(st.booleans()):
                lines.append(f"{one}.1\tgone" + "\t_" * 8 + "\n")
        number = last + 1
    return "".join(lines), size


@settings(max_examples=150, deadline=None)
@given(sentences())
def test_syntax_of_any_sentence_is_a_tree(tmp_path_factory: pytest.TempPathFactory, made: tuple[str, int]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.conllu"
    path.write_text(made[0])
    found = list(Parses(path)._of.values())
    assert len(found[-1].forms) == made[1]
    for parse in (*found, *map(shuffle_words, found)):
        for word in range(len(parse.heads)):
            steps = 0
            while word != ROOT:
                word, steps = parse.heads[word], steps + 1
                assert steps <= len(parse.heads)
    for parse in found:
        other = shuffle_words(parse)
        assert other == shuffle_words(parse)
        assert (other.forms, other.tags) == (parse.forms, parse.tags)
        assert sorted(depths(other)) == sorted(depths(parse))


def depths(parse: ParsedText) -> list[int]:
    def depth(word: int) -> int:
        return 0 if word == ROOT else 1 + depth(parse.heads[word])

    return [depth(word) for word in range(len(parse.heads))]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(-1, 5), min_size=6, max_size=6),
    st.lists(st.integers(-1, 5), min_size=2, max_size=9),
    st.integers(2, 9),
)
def test_syntax_distances_are_those_of_the_whole_tree(heads: list[int], nodes: list[int], size: int) -> None:
    """Of pieces, words that were cut off included: counted along the edges of the tree that the row was cut from."""
    heads = [head if head < word else ROOT for word, head in enumerate(heads)]
    parse = ParsedText(tuple("abcdef"), (0,) * 6, tuple(heads))
    nodes = [NOWHERE, *sorted(node for node in nodes if node >= 0), NOWHERE]
    whole = columns(np.array(nodes), parse)
    kept = columns(np.array(nodes[:size]), parse)
    length = min(size, len(nodes))
    expected = walked(whole["tree"])
    assert np.array_equal(distances(np.array(whole["tree"]), len(nodes)), expected[: len(nodes), : len(nodes)])
    assert np.array_equal(distances(np.array(kept["tree"]), length), expected[:length, :length])
    assert kept["upos"] == [UNTAGGED if node == NOWHERE else 0 for node in nodes[:size]]


def walked(tree: list[int]) -> np.ndarray:
    """By Floyd and Warshall."""
    found = np.full((len(tree), len(tree)), FAR, np.int64)
    for place, head in enumerate(tree):
        found[place, place] = 0
        if head not in (NOWHERE, place):
            found[place, head] = found[head, place] = 1
    for middle in range(len(tree)):
        through = found[:, middle, None] + found[middle]
        found = np.where(through < FAR, np.minimum(found, through), found)
    return found


def test_syntax_of_a_pair_hangs_on_the_first_token(tokenizer: PreTrainedTokenizerBase) -> None:
    texts = ("the film movie was bad", "good")
    family = Classification(task("xnli"))
    first = ParsedText(("the", "filmmovie", "was", "bad"), (5, 7, 3, 0), (1, 3, 3, ROOT))
    second = ParsedText(("good",), (0,), (ROOT,))
    (row,) = arrays(family.encode([Classified(texts=texts)], tokenizer, 128))
    nodes = nodes_of_texts(row, texts, [first, second], tokenizer, 128)
    spelled = tokenizer.convert_ids_to_tokens(row["tokens"])
    words = {
        number: "".join(piece for piece, node in zip(spelled, nodes, strict=True) if node == number) for number in range(5)
    }
    assert words == {0: "▁the", 1: "▁film▁movie", 2: "▁was", 3: "▁bad", 4: "▁good"}
    found = columns(nodes, ParsedText((*first.forms, *second.forms), (5, 7, 3, 0, 0), (1, 3, 3, ROOT, ROOT)))
    roots = [place for place, head in enumerate(found["tree"]) if head == 0]
    assert [nodes[place] for place in roots] == [NOWHERE, 3, 4]
    assert all((head == NOWHERE) == (piece == "</s>") for head, piece in zip(found["tree"], spelled, strict=True))
    # Cut to the longest that fits: a word that was cut off still is between those that depend on it.
    (short,) = arrays(family.encode([Classified(texts=texts)], tokenizer, 9))
    kept = nodes_of_texts(short, texts, [first, second], tokenizer, 9)
    assert 3 not in kept
    cut = distances(
        np.array(columns(kept, ParsedText((*first.forms, *second.forms), (5, 7, 3, 0, 0), (1, 3, 3, ROOT, ROOT)))["tree"]),
        len(kept),
    )
    assert cut[0, 1] == 3  # <s>, (bad), filmmovie, the


def test_syntax_of_tagged_words_in_several_rows(tokenizer: PreTrainedTokenizerBase) -> None:
    words = ("good", "film", "was", "not", "evil", "movie")
    family = Tagging(task("udpos"))
    parse = ParsedText(words, (0, 7, 3, 10, 0, 7), (1, 4, 4, 4, ROOT, 4))
    rows = arrays(family.encode([Tagged(words=words)], tokenizer, 8))
    assert len(rows) > 1
    before = 0
    for row in rows:
        inside = words[before : before + len(row["words"])]
        nodes = nodes_of_words(row, inside, before, words, parse, tokenizer)
        assert [nodes[place] for place in row["words"]] == list(range(before, before + len(inside)))
        assert nodes[0] == nodes[-1] == NOWHERE
        assert (nodes[1:-1] != NOWHERE).all()
        depth = distances(np.array(columns(nodes, parse)["tree"]), len(nodes))[0]
        assert [depth[place] for place in row["words"]] == depths(parse)[before : before + len(inside)]
        before += len(inside)
