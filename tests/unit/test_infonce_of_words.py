"""Realignment of words: which are linked, what they are distinguished from, layers that stay as they are, and what is
refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from tiny import tiny_model
from tiny_words import arrays, words_tokenizer
from torch.nn.functional import cosine_similarity
from transformers import PreTrainedTokenizerBase

from xdist.cli import main
from xdist.config import Model as ModelSection
from xdist.config.align import Align
from xdist.config.parallel import Parallel
from xdist.data.batches import collate
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.formats.examples import Line
from xdist.model.encoder import load_encoder
from xdist.robust.word_links import check_words, make_linker, plain_form, word_files
from xdist.tasks.catalog import task
from xdist.tasks.parallel import LINK_ROW, LINKS, ParallelText, word_sums
from xdist.tasks.rewritten import rewritten

LANGUAGE = "deu_Latn"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return words_tokenizer(tmp_path_factory.mktemp("tokenizer") / "words")


def by_words(**options: Any) -> ParallelText:
    made = ParallelText(task("parallel"))
    made.options = Parallel(loss="words", **{"dictionaries": "x", **options})
    return made


def rows(tokenizer: PreTrainedTokenizerBase, *pairs: tuple[str, str], length: int = 60) -> list[dict[str, Any]]:
    lines = [Line(number=at, text=one, new=True, translation=other) for at, (one, other) in enumerate(pairs, start=1)]
    return arrays(by_words().encode(lines, tokenizer, length))


def texts(tokenizer: PreTrainedTokenizerBase, row: dict[str, Any], links: np.ndarray) -> set[tuple[str, str]]:
    spans = [(tokenizer.decode(row["tokens"][a:b]), tokenizer.decode(row["tokens"][c:d])) for a, b, c, d in links.tolist()]
    return {(one.strip(), other.strip()) for one, other in spans}


def test_infonce_of_words_links_what_a_dictionary_translates_once(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    """In lower case, without punctuation; `la` has two partners, so it and they are left out; files have codes of any kind."""
    (tmp_path / "en-de.txt").write_text("good\tgut\nGOOD\tschön\nfilm\tFilm\nthe\tla\na\tla\nevil\tbad\n")
    link = make_linker(Parallel(loss="words", dictionaries=str(tmp_path)), tokenizer, [LANGUAGE])
    assert link is not None
    one, other, none = rows(tokenizer, ("la gut film ,", "the (film) a Good"), ("schön film", "good"), ("so", "at all"))
    assert texts(tokenizer, one, link(one, by_words(), LANGUAGE)) == {("gut", "Good"), ("film", "(film)")}
    assert texts(tokenizer, other, link(other, by_words(), LANGUAGE)) == {("schön", "good")}
    assert link(none, by_words(), LANGUAGE).shape == (0, 4)
    assert [plain_form(word) for word in ("(Film).", "É", "கா,", "...", "U.S.")] == ["film", "é", "கா", "", "u.s"]


def test_infonce_of_words_takes_the_links_of_an_aligner(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    (tmp_path / "de-en.links").write_text("0-1 1p0 2-2 2-3\n\n0-0\n")
    link = make_linker(Parallel(loss="words", links=str(tmp_path)), tokenizer, [LANGUAGE])
    assert link is not None
    pairs = (("gut film la", "film good the a"), ("so", "all"), ("so gut", "all the"), ("so", "all"))
    one, empty, last, beyond = rows(tokenizer, *pairs)
    assert texts(tokenizer, one, link(one, by_words(), LANGUAGE)) == {("gut", "good"), ("film", "film")}, "la has two"
    assert not len(link(empty, by_words(), LANGUAGE))
    assert texts(tokenizer, last, link(last, by_words(), LANGUAGE)) == {("so", "all")}
    with pytest.raises(UserError, match="3 lines, but its text has a line 4"):
        link(beyond, by_words(), LANGUAGE)
    (short,) = rows(tokenizer, ("so", "all"))
    with pytest.raises(UserError, match=r"de-en.links:1: 0-1: the second text of line 1 has 1 words"):
        link(short, by_words(), LANGUAGE)
    (cut,) = rows(tokenizer, pairs[0], length=4)
    assert cut["cut"]
    assert not len(link(cut, by_words(), LANGUAGE)), "the last word of a text that was cut may go on"


def test_infonce_of_words_by_hand(tokenizer: PreTrainedTokenizerBase) -> None:
    """Each of 2 n vectors is distinguished from all others of its group but itself; a group of one pair says nothing."""
    family = by_words(temperature=0.5, strength=2)
    made = [{**row, LINKS: np.array(links)} for row, links in zip(
        rows(tokenizer, ("gut film", "good film"), ("la so", "the so"), ("bon", "nice")),
        ([[1, 2, 4, 5], [2, 3, 5, 6]], [[1, 2, 4, 6]], [[1, 3, 5, 6]]),
        strict=True,
    )]  # fmt: skip
    batch = collate(made, [0, 1, 2], family, group=[0, 0, 1])
    states = torch.randn(len(batch.tokens), 8, generator=torch.Generator().manual_seed(0))
    starts = batch.starts[::2].tolist()
    foreign, english = [], []
    for start, row in zip(starts, made, strict=True):
        for low, high, first, last in row[LINKS].tolist():
            foreign.append(states[start + low : start + high].sum(0))
            english.append(states[start + first : start + last].sum(0))
    vectors = word_sums(states, batch)
    assert torch.allclose(vectors, torch.stack([*foreign, *english]), atol=1e-6)
    assert (family.count(batch), family.row_of(batch).tolist()) == (4, [0, 0, 1, 2])
    found, group = family.losses(vectors, batch), [foreign[0], foreign[1], foreign[2], english[0], english[1], english[2]]
    for pair in range(3):
        expected = 0.0
        for this, other in ((pair, pair + 3), (pair + 3, pair)):
            alike = torch.stack([cosine_similarity(group[this], one, dim=0) / 0.5 for one in group])
            apart = torch.cat([alike[:this], alike[this + 1 :]])
            expected += float(apart.logsumexp(0) - alike[other]) / 2
        assert found[pair] == pytest.approx(2 * expected, rel=1e-5)
    assert found[3] == pytest.approx(0.0, abs=1e-6)


def test_infonce_of_no_words_is_nothing_on_the_way_to_every_weight(tokenizer: PreTrainedTokenizerBase) -> None:
    family = by_words()
    made = [{**row, LINKS: np.zeros((0, 4), np.int64)} for row in rows(tokenizer, ("gut", "good"))]
    batch = collate(made, [0], family, group=[0])
    states = torch.randn(len(batch.tokens), 8, requires_grad=True)
    loss = family.losses(word_sums(states, batch), batch)
    assert loss.shape == (0,)
    loss.sum().backward()
    assert states.grad is not None
    assert not states.grad.any()


def test_links_go_along_where_words_are_replaced(tokenizer: PreTrainedTokenizerBase) -> None:
    (row,) = rows(tokenizer, ("gut film", "good film"))
    before = {**row, LINKS: np.array([[1, 2, 4, 5], [2, 3, 5, 6]])}
    tokens, lengths = row["tokens"].tolist(), row["lengths"].tolist()
    new = rewritten(tokens, lengths, [(1, 2)], {0: (7, 8, 9)})
    assert by_words().moved(before, new)[LINKS].tolist() == [[1, 4, 6, 7], [4, 5, 7, 8]]
    assert collate([before, before], [0, 1], by_words(), group=[0, 0]).targets[LINK_ROW].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "values, message",
    [
        ({"loss": "words"}, "give dictionaries or links"),
        ({"loss": "words", "links": "a", "dictionaries": "b"}, "give dictionaries or links"),
        ({"loss": "words", "links": "a", "anchor": 1}, "words have no anchor"),
        ({"links": "a"}, "are of loss: words"),
    ],
)
def test_infonce_of_words_needs_what_links_them(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Parallel(**values)


def test_words_of_a_rotation_are_of_a_fit_that_is_made_here() -> None:
    tasks = [{"task": "sib200-parallel"}]
    for values in ({"method": "mean-shift", "tasks": tasks, "links": "a"}, {"folder": "a", "links": "b"}):
        with pytest.raises(ValueError, match="are of method procrustes"):
            Align.model_validate(values)


def test_a_language_without_a_dictionary_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "en-de.txt").write_text("a b c\n")
    section = Parallel(loss="words", dictionaries=str(tmp_path))
    assert word_files(section, [LANGUAGE, "yor_Latn"]) == {
        LANGUAGE: tmp_path / "en-de.txt",
        "yor_Latn": tmp_path / "en-yor_Latn.txt",
    }
    with pytest.raises(UserError, match=r"en-yor_Latn.txt: no such file \(there are: en-de.txt\)"):
        check_words(section, ["yor_Latn"])
    with pytest.raises(UserError, match=r"en-de.txt:1: expected 'source TAB target'"):
        check_words(section, [LANGUAGE])


@pytest.mark.parametrize("kind", ["xlm-roberta", "distilbert", "modernbert"])
def test_frozen_layers_and_all_embeddings_stay_as_they_are(folders: Callable[[str], str], kind: str) -> None:
    place = folders(kind)
    encoder = load_encoder(ModelSection(backbone=place, frozen_layers=1), load_tokenizer(place), torch.float32)
    trained = {name for name, one in encoder.named_parameters() if one.requires_grad}
    frozen = {name for name, one in encoder.named_parameters() if not one.requires_grad}
    assert all(".0." in name or "embed" in name for name in frozen), frozen
    assert not any(".0." in name or "embed" in name for name in trained), trained
    assert trained
    assert frozen


@pytest.mark.parametrize(
    "kind, layers, message", [("xlm-roberta", 4, "of 3 layers at most 3"), ("albert", 1, "share their weights")]
)
def test_frozen_layers_that_cannot_be(folders: Callable[[str], str], kind: str, layers: int, message: str) -> None:
    place = folders(kind)
    with pytest.raises(UserError, match=message):
        load_encoder(ModelSection(backbone=place, frozen_layers=layers), load_tokenizer(place), torch.float32)


def test_what_is_wrong_with_words_is_told_at_the_check(tmp_path: Path, data: Path) -> None:
    root = tmp_path / "data"
    (root / "parallel").mkdir(parents=True)
    (root / "parallel" / "de-en.tsv").write_text("ein Wort\ta word\nzwei\ttwo\n")
    run = {
        "name": "a",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": str(tiny_model(tmp_path / "encoder", data))},
        "data": {"root": str(root), "cache": str(tmp_path / "prepared")},
        "train": {
            "tasks": [{"task": "parallel", "languages": ["de"]}],
            "steps": 1,
            "parallel": {"loss": "words", "links": str(tmp_path)},
        },
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))

    def said(*more: str) -> str:
        done = CliRunner().invoke(main, ["train", str(tmp_path / "run.yaml"), "--dry-run", *more])
        assert done.exit_code == 2, done.output
        return done.output

    assert "train.parallel.links: " in (missing := said())
    assert "de-en.links: no such file (there are: none)" in missing
    links = tmp_path / "de-en.links"
    for text, message in (
        ("0-0 1-1\n1-0\n", ":2: 1-0: the first text of line 2 has 1 words"),
        ("0-0\n", ": 1 lines, but its text has a line 2"),
        ("0-0 a-b\n0-0\n", ":1: expected links such as 0-0 1-2, found 'a-b'"),
    ):
        links.write_text(text)
        assert f"de-en.links{message}" in said()
    links.write_text("0-0\n0-0\n")
    assert "of 2 layers at most 1 can stay as they are" in said("model.frozen_layers=2")
