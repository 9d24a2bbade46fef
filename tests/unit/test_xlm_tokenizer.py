"""XLM's Python tokenizer: words by construction, lower-casing as it is stored, its package named; the language of each row."""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tiny_bpe import gemma_like
from tiny_xlm import tiny_xlm_tokenizer
from transformers import AutoModel, PreTrainedTokenizerBase, XLMConfig

from xdist.data.batches import collate
from xdist.data.fetched import model_digest
from xdist.data.tokenizer import load_tokenizer, tokenizer_digest
from xdist.errors import UserError
from xdist.files import Digests
from xdist.formats.examples import Classified, Line, Question, Sentence, Tagged
from xdist.resolve.encoder import read_encoder
from xdist.robust.words import WordPieces
from xdist.tasks.catalog import task
from xdist.tasks.family import Family, family_of
from xdist.tasks.special_tokens import around_pair, around_text

TEXTS = ["Don't go to Łódź , né the cat sat . Germany and France have the euro", "don't go to lodz ne germany france"] * 20
WORDS = ("Don't", "go", "to", "Łódź", ",", "né", "Germany", "…", "cat.", "\u200b")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_xlm_tokenizer(tmp_path_factory.mktemp("xlm"), TEXTS, lower=False)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    pytest.importorskip("sacremoses", reason="sacremoses is not installed: XLM's tokenizer cannot be made")
    return load_tokenizer(str(folder))


def test_the_missing_package_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacremoses", None)
    with pytest.raises(UserError, match=f"{folder}: XLM's tokenizer needs the package sacremoses: pip install sacremoses"):
        load_tokenizer(str(folder))


def test_words_by_construction(tokenizer: PreTrainedTokenizerBase) -> None:
    (row,) = family_of(task("udpos")).encode([Tagged(words=WORDS, tags=("X",) * len(WORDS))], tokenizer, 128)
    bounds = [*row["words"], len(row["tokens"]) - 1]
    for word, (low, high) in zip(WORDS, pairwise(bounds), strict=True):
        expected = tokenizer.tokenize(word) or [tokenizer.unk_token]
        assert tokenizer.convert_ids_to_tokens(row["tokens"][low:high]) == expected
    assert (row["tokens"][0], row["tokens"][-1]) == (0, 1)
    assert tokenizer.convert_ids_to_tokens(row["tokens"][bounds[-2] : bounds[-1]]) == ["<unk>"]  # nothing of it is left


def test_texts_and_templates(tokenizer: PreTrainedTokenizerBase) -> None:
    assert around_text(tokenizer) == ([0], [1])
    assert around_pair(tokenizer) == ([0], [1], [1])
    pair = Classified(texts=("the cat sat", "Germany"), label="entailment")
    (row,) = family_of(task("xnli")).encode([pair], tokenizer, 128)
    assert row["tokens"] == tokenizer("the cat sat", "Germany")["input_ids"]
    (short,) = family_of(task("xnli")).encode([pair], tokenizer, 6)
    assert len(short["tokens"]) == 6
    (row,) = family_of(task("mlm")).encode([Line(number=1, text="the cat sat", new=True)], tokenizer, 64)
    assert row["tokens"].tolist() == tokenizer("the cat sat")["input_ids"]


def test_what_it_cannot_do_is_said(tokenizer: PreTrainedTokenizerBase) -> None:
    question = Question(key="a", id="a", question="the cat", context="sat")
    with pytest.raises(UserError, match="does not give the offsets of pieces: no span QA"):
        list(family_of(task("xquad")).encode([question], tokenizer, 64))
    with pytest.raises(UserError, match=r"words cannot be found in pieces without a tokenizer\.json"):
        WordPieces(tokenizer)
    family = family_of(task("udpos"))
    family.joining = "text"
    with pytest.raises(UserError, match=r"data\.words=text: the tokenizer of .* gives no offsets"):
        list(family.encode([Tagged(words=("a",), tags=("X",))], tokenizer, 64))


def test_lower_casing_as_it_is_stored(tmp_path: Path, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    lower = load_tokenizer(str(tiny_xlm_tokenizer(tmp_path / "lower", TEXTS, lower=True)))
    assert lower.convert_tokens_to_string(lower.tokenize("Germany né")) == "germany ne"
    assert tokenizer.convert_tokens_to_string(tokenizer.tokenize("Germany né")) == "Germany né"
    assert tokenizer_digest(lower) != tokenizer_digest(tokenizer)
    assert tokenizer_digest(load_tokenizer(str(folder))) == tokenizer_digest(tokenizer)
    lower.save_pretrained(tmp_path / "again")
    assert tokenizer_digest(load_tokenizer(str(tmp_path / "again"))) == tokenizer_digest(lower)


def test_its_files_are_part_of_what_the_model_computes(tmp_path: Path) -> None:
    digests = {
        model_digest(str(tiny_xlm_tokenizer(tmp_path / f"{lower}", TEXTS, lower=lower)), Digests()) for lower in (True, False)
    }
    assert len(digests) == 2


def test_each_row_has_its_language() -> None:
    """English sentences among those of another language are English."""

    def languages(family: Family, examples: list[object]) -> tuple[str, ...] | None:
        rows = [
            {name: np.asarray(value) if isinstance(value, list) else value for name, value in row.items()}
            for row in family.encode(examples, gemma_like(TEXTS), 64)
        ]
        return collate(rows, range(len(rows)), family, languages=["de"] * len(rows)).languages

    sides = [("foreign", Sentence(id="1", text="Katze")), ("english", Sentence(id="1", text="cat"))]
    assert languages(family_of(task("tatoeba")), sides) == ("de", "en")
    pairs = [Classified(texts=("die Katze", "sitzt"), label="entailment")] * 2
    assert languages(family_of(task("xnli")), pairs) == ("de", "de")
    rows = [{"tokens": np.arange(3), "lengths": np.array([3]), "side": side} for side in range(4)]
    mined = collate(rows, range(4), family_of(task("bucc2018")), languages=["de"] * 4)
    assert mined.languages == ("de", "en", "de", "en")


def test_the_missing_package_is_named_before_anything_starts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    AutoModel.from_config(XLMConfig(vocab_size=400, n_layers=2, n_heads=2, emb_dim=8)).save_pretrained(folder)
    monkeypatch.setitem(sys.modules, "sacremoses", None)
    with pytest.raises(UserError, match=f"{folder}: XLM's tokenizer needs the package sacremoses: pip install sacremoses"):
        read_encoder(str(folder))
