"""Words of tagging rows have the pieces of running text, with any rule of the tokenizer for blanks."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_bpe import byte_level, gemma_like, llama2_like, llama3_like
from tiny_kinds import KINDS
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xdist.config import Data
from xdist.config.data import Joining
from xdist.data.prepare import Preparation
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.evaluation.request import Request
from xdist.export.card import on_words
from xdist.formats.examples import Tagged
from xdist.study.facts import Facts
from xdist.tasks.catalog import task
from xdist.tasks.catalog.user import user_tasks
from xdist.tasks.family import Row
from xdist.tasks.given_words import encodes_words_alone, joining_form
from xdist.tasks.special_tokens import around_text
from xdist.tasks.tagging import Tagging, _chunks

WORDS = "The cat sat on the mat . Don't let Germany , France and Kenya have the euro ; « 12 000 » né à Łódź"
TEXTS = [WORDS] * 30
Made = Callable[..., PreTrainedTokenizerBase]
BPE: dict[str, Made] = {
    "gemma": gemma_like,
    "llama 2": llama2_like,
    "llama 3": llama3_like,
    "byte-level": byte_level,
    "byte-level with a first blank": partial(byte_level, prefix=True),
}
ALONE = ("xlm-roberta", "camembert", "rembert", "albert", "deberta-v2", "bert", "electra", "distilbert")
SENTENCES = [
    Tagged(words=tuple(WORDS.split()), tags=("X",) * len(WORDS.split())),
    Tagged(words=("Peru", "sat", "."), tags=("X", "X", "PUNCT")),
    Tagged(words=("a cat", "日本語", "\u200b", "né"), tags=("X",) * 4),
]


def rows_of(sentences: list[Tagged], tokenizer: PreTrainedTokenizerBase, length: int, joining: Joining = "joined") -> list[Row]:
    family = Tagging(task("udpos"))
    family.joining = joining
    return list(family.encode(sentences, tokenizer, length))


def one_by_one(sentences: list[Tagged], tokenizer: PreTrainedTokenizerBase, length: int) -> list[Row]:
    """The rows of earlier versions, for any tokenizer: a word is what it is alone."""
    before, after = around_text(tokenizer)
    room = length - len(before) - len(after)
    rows = []
    for number, sentence in enumerate(sentences):
        encoded = tokenizer(list(sentence.words), is_split_into_words=True, add_special_tokens=False)
        pieces: list[list[int]] = [[] for _ in sentence.words]
        for token, word in zip(encoded["input_ids"], encoded.word_ids(), strict=True):
            pieces[word].append(token)
        pieces = [word if 0 < len(word) <= room else [tokenizer.unk_token_id] for word in pieces]
        for first, last in _chunks([len(word) for word in pieces], room):
            inside = pieces[first:last]
            tokens = [*before, *(token for word in inside for token in word), *after]
            firsts = np.cumsum([len(before), *map(len, inside)])[:-1]
            rows.append({"example": number, "tokens": tokens, "words": firsts.tolist()})
    return rows


@pytest.mark.parametrize("kind", BPE)
def test_words_have_the_pieces_of_running_text(kind: str) -> None:
    tokenizer = BPE[kind](TEXTS)
    for sentence, row in zip(SENTENCES, rows_of(SENTENCES, tokenizer, 256), strict=True):
        text = " ".join(sentence.words)
        assert row["tokens"] == tokenizer(text)["input_ids"]
        bounds = [*row["words"], len(row["tokens"]) - len(around_text(tokenizer)[1])]
        written = [tokenizer.decode(row["tokens"][low:high]).strip() for low, high in pairwise(bounds)]
        assert written == list(sentence.words)


@pytest.mark.parametrize("kind", BPE)
def test_real_sentences_have_the_pieces_of_running_text(shared_data: Path, kind: str) -> None:
    for code in ("en", "wo", "yo", "lt"):
        sentences = [
            sentence
            for sentence in task("udpos").examples(shared_data, "test", code)
            if all(word.strip() == word for word in sentence.words)
        ][:150]
        texts = [" ".join(sentence.words) for sentence in sentences]
        tokenizer = BPE[kind](texts)
        assert [row["tokens"] for row in rows_of(sentences, tokenizer, 4096)] == tokenizer(texts)["input_ids"]


@pytest.mark.parametrize("kind", ["gemma", "llama 3", "byte-level"])
def test_each_word_alone_is_the_usual_flaw(kind: str) -> None:
    tokenizer = BPE[kind](TEXTS)
    (row,) = rows_of([SENTENCES[0]], tokenizer, 256, "separate")
    shown = tokenizer.convert_ids_to_tokens(row["tokens"])
    assert not [piece for piece in shown if piece.startswith(("▁", "Ġ"))]


@pytest.mark.parametrize("kind", ALONE)
@pytest.mark.parametrize("length", [16, 128])
def test_rows_of_unigram_and_word_piece_stay_to_the_bit(kind: str, length: int) -> None:
    tokenizer = KINDS[kind][0]()
    made = rows_of(SENTENCES, tokenizer, length)
    assert [{**row, "words": row["words"].tolist()} for row in made] == [
        {**row, "lengths": [len(row["tokens"])], "cut": 0, "labels": made[index]["labels"]}
        for index, row in enumerate(one_by_one(SENTENCES, tokenizer, length))
    ]
    assert encodes_words_alone(tokenizer)
    assert joining_form(task("udpos"), tokenizer, "joined") == []  # sets prepared before are found again


def test_real_rows_of_an_xlmr_tokenizer_stay_to_the_bit_and_are_those_of_running_text(
    shared_data: Path, demo_encoder: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(demo_encoder)
    for name, split, code in (("udpos", "test", "wo"), ("udpos", "test", "tl"), ("panx", "dev", "my"), ("panx", "dev", "ka")):
        sentences = list(task(name).examples(shared_data, split, code))[:200]
        family = Tagging(task(name))
        made = [(row["example"], row["tokens"], row["words"].tolist()) for row in family.encode(sentences, tokenizer, 64)]
        assert made == [tuple(row.values()) for row in one_by_one(sentences, tokenizer, 64)]
        if name == "udpos":
            texts = [" ".join(sentence.words) for sentence in sentences]
            whole = [row["tokens"] for row in family.encode(sentences, tokenizer, 4096)]
            same = [a == b for a, b in zip(whole, tokenizer(texts)["input_ids"], strict=True)]
            assert np.mean(same) > 0.95  # where they are not, normalisation goes over a blank


def test_joining_that_changes_rows_is_part_of_what_they_are() -> None:
    tokenizer = gemma_like(TEXTS)
    assert joining_form(task("udpos"), tokenizer, "joined") == ["joined"]
    assert joining_form(task("udpos"), tokenizer, "separate") == []  # as before there was a choice
    assert joining_form(task("xnli"), tokenizer, "joined") == []
    assert task("udpos").joining("text") == "joined"  # an official file does not say where blanks are


CONLLU = """# text = Don't vámonos.
1\tDo\tdo\tAUX\t_\t_\t0\troot\t_\tSpaceAfter=No
2\tn't\tnot\tPART\t_\t_\t1\tx\t_\t_
3-4\tvámonos\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
3\tvamos\tir\tVERB\t_\t_\t1\tx\t_\t_
4\tnos\tnosotros\tPRON\t_\t_\t1\tx\t_\t_
4.1\tleft\t_\tVERB\t_\t_\t_\t_\t_\t_
5\t.\t.\tPUNCT\t_\t_\t1\tx\t_\tSpaceAfter=No

1\tmat\tmat\tNOUN\t_\t_\t0\troot\t_\t_
"""
TREEBANK = """tasks:
  bank:
    family: tagging
    languages: [en]
    files: {train: "bank-{language}.conllu", test: "bank-{language}.conllu"}
    labels: [AUX, PART, VERB, PRON, PUNCT, NOUN]
"""


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    (tmp_path / "bank-en.conllu").write_text(CONLLU, encoding="utf-8")
    (tmp_path / "tasks.yaml").write_text(TREEBANK, encoding="utf-8")
    return tmp_path


def test_blanks_of_a_treebank(treebank: Path) -> None:
    entry = user_tasks(treebank / "tasks.yaml")["bank"]
    first, second = entry.examples(treebank, "test", "en")
    assert first == Tagged(
        words=("Do", "n't", "vamos", "nos", "."),
        tags=("AUX", "PART", "VERB", "PRON", "PUNCT"),
        glued=(True, False, False, True, True),
    )
    assert second.words == ("mat",)
    for made in (gemma_like, llama3_like, KINDS["xlm-roberta"][0], KINDS["bert"][0]):
        tokenizer = made(TEXTS) if made in (gemma_like, llama3_like) else made()
        row, _ = rows_of([first, second], tokenizer, 64, "text")
        assert row["tokens"] == tokenizer("Don't vamos nos.")["input_ids"]
        assert rows_of([first], tokenizer, 64)[0]["tokens"] == tokenizer("Do n't vamos nos .")["input_ids"]
    assert entry.joining("text") == "text"
    assert joining_form(entry, KINDS["xlm-roberta"][0](), "text") == ["text"]


@pytest.mark.parametrize(
    "line, said",
    [
        ("1\tDo\tdo", "expected the 10 columns of CoNLL-U, found 3"),
        ("x" + "\t_" * 9, "'x' is no number of a word"),
        ("1\tDo\tdo\tVERV\t_\t_\t0\t_\t_\t_", "unknown tag 'VERV': did you mean 'VERB'?"),
    ],
)
def test_a_treebank_that_is_none(treebank: Path, line: str, said: str) -> None:
    (treebank / "bank-en.conllu").write_text(CONLLU + "\n" + line, encoding="utf-8")
    with pytest.raises(UserError, match=f"bank-en.conllu:12: {said}".replace("?", r"\?")):
        list(user_tasks(treebank / "tasks.yaml")["bank"].examples(treebank, "test", "en"))


def test_a_piece_over_two_words_is_the_first_ones() -> None:
    tokenizer = gemma_like(["x inthe end"] * 50)
    (row,) = rows_of([Tagged(words=("x", "in", "the", "end"), glued=(False, True, False, False))], tokenizer, 64, "text")
    assert tokenizer.convert_ids_to_tokens(row["tokens"]) == ["<bos>", "x", "▁inthe", "▁end", "<eos>"]
    assert row["words"].tolist() == [1, 2, 2, 3]  # "the" has no separate piece, and is read where it is


@pytest.mark.parametrize("kind", BPE)
def test_blank_words_and_words_too_long(kind: str) -> None:
    """WikiANN has words of white space; a tokenizer may know no <unk>."""
    tokenizer = BPE[kind](TEXTS)
    sentence = Tagged(words=("Peru", "\u3000", "z" * 60, "and", "\u200b"))
    (row, *rest) = rows_of([sentence], tokenizer, 32)
    assert max(len(one["tokens"]) for one in (row, *rest)) <= 32
    assert sum(len(one["words"]) for one in (row, *rest)) == 5
    assert None not in row["tokens"]


def test_an_empty_word_without_unknown_token_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "train-sw.tsv").write_text("Amina\tB-PER\n\nx\tO\n\tO\n", encoding="utf-8")
    (tmp_path / "tasks.yaml").write_text(
        "tasks: {t: {family: tagging, languages: [sw], files: {train: 'train-{language}.tsv'}, labels: [O, B-PER]}}"
    )
    subset = Subset(user_tasks(tmp_path / "tasks.yaml")["t"], "train", "sw")
    data = Data(root=tmp_path, cache=tmp_path / "prepared", tasks=tmp_path / "tasks.yaml")
    said = r"train-sw.tsv: example 2: word 2 \(''\) has no piece, and the tokenizer knows no <unk>"
    with pytest.raises(UserError, match=said):
        Preparation([subset], data, byte_level(TEXTS)).make(subset)
    assert Preparation([subset], data, gemma_like(TEXTS)).make(subset) is not None  # it becomes <unk>, as officially


def test_the_choice_is_named_and_makes_other_data(treebank: Path, tmp_path: Path) -> None:
    subset = Subset(user_tasks(treebank / "tasks.yaml")["bank"], "test", "en")
    tokenizer = gemma_like(TEXTS)
    found, facts, rows = set(), set(), []
    for words in ("separate", "joined", "text"):
        data = Data(root=treebank, cache=tmp_path / "prepared", tasks=treebank / "tasks.yaml", words=words)
        preparation = Preparation([subset], data, tokenizer)
        found |= set(preparation.fingerprints([subset]).values())
        facts.add(Facts().subset(data, subset))
        shards = preparation.make(subset)
        assert shards is not None
        rows.append(tokenizer.decode(shards.row(0)["tokens"], skip_special_tokens=True))
        asked = SimpleNamespace(layer=None, branches="own")
        how = SimpleNamespace(how=asked, smoothing=None, data=data, align=None, adapter=None, parses=None)
        assert Request.options(how, subset.task)["data.words"] == words
        assert "data.words" not in Request.options(how, task("xnli"))
    assert len(found) == len(facts) == 3
    assert rows == ["Don'tvamosnos.", "Do n't vamos nos .", "Don't vamos nos."]


def test_a_card_says_how_words_are_encoded_where_it_matters() -> None:
    assert "Join the words of a sentence by single blanks" in on_words(task("udpos"), gemma_like(TEXTS))
    assert not on_words(task("udpos"), KINDS["bert"][0]())
    assert not on_words(task("xnli"), gemma_like(TEXTS))
    assert not on_words(None, gemma_like(TEXTS))
