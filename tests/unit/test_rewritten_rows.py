"""What rewriting words leaves intact in each family's rows, and the batches of rewritten rows on one rank and on two."""

from copy import copy
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
import pytest
import torch
from resolved_of import data_of, prepared_of
from tiny_families import tiny_families
from tiny_words import arrays, words_tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xdist.config import load_run
from xdist.data.batches import TrainingData, collate, collate_pair, comparable_row
from xdist.data.prepare import Preparation
from xdist.formats.examples import Answer, Passage, Query, Question, Tagged
from xdist.robust.code_switch import CodeSwitcher
from xdist.robust.rewriting import WordRewriter
from xdist.robust.subword import Segmenter
from xdist.robust.words import WordPieces
from xdist.tasks.catalog import task
from xdist.tasks.dual import DualEncoder
from xdist.tasks.family import Family, Row, family_of
from xdist.tasks.span_qa import SpanQA
from xdist.tasks.tagging import Tagging


class Growing(WordRewriter):
    """Every second free word gets other tokens, of another number: what is hardest for positions."""

    def replacements(self, pieces: Any, words: Any, draws: Any, language: str, one: bool) -> Any:
        for word in np.flatnonzero(words.free & (draws(words.index, 0) < 0.5)).tolist():
            yield word, pieces[word][:1] + pieces[word][1:] * 2 if one else (pieces[(word + 1) % len(pieces)] * 2)[:4]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return words_tokenizer(tmp_path_factory.mktemp("rows") / "tokenizer")


@pytest.fixture(scope="module")
def real_tokenizer(demo_encoder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(demo_encoder)


@pytest.fixture(scope="module")
def real_subword(real_tokenizer: PreTrainedTokenizerBase) -> Segmenter:
    """Reads 250,000 pieces: made once."""
    return Segmenter(real_tokenizer, seed=1, stream=0, probability=0.5)


def check_answer(family: SpanQA, row: Row, after: Row, context: str) -> None:
    """The answer's tokens and characters are the same, and every context token has characters that are right for it."""
    assert len(after["begins"]) == len(after["ends"])
    assert 0 <= after["first"] - after["context"] <= after["last"] - after["context"] <= len(after["begins"])
    if row["start"] <= 0:
        assert (after["start"], after["end"]) == (row["start"], row["end"])
    else:
        before = row["tokens"][row["start"] : row["end"] + 1]
        assert after["tokens"][after["start"] : after["end"] + 1].tolist() == before.tolist()
        for side, name in (("start", "begins"), ("end", "ends")):
            old = row[name][row[side] - row["context"]]
            assert after[name][after[side] - after["context"]] == old
            assert 0 <= old <= len(context)
    # A token that both have has the same characters in both; those between them belong to a replaced word.
    pairs = after["shared"]
    assert (after["tokens"][pairs[:, 1]] == row["tokens"][pairs[:, 0]]).mean() > 0.3
    inside = (pairs[:, 0] >= row["context"]) & (pairs[:, 0] < row["context"] + len(row["begins"]))
    old, new = pairs[inside, 0] - row["context"], pairs[inside, 1] - after["context"]
    assert row["begins"][old].tolist() == after["begins"][new].tolist()
    assert (np.diff(pairs, axis=0) > 0).all()
    assert pairs[0].tolist() == [0, 0]
    assert pairs[-1].tolist() == [len(row["tokens"]) - 1, len(after["tokens"]) - 1]


# --- span question answering ---------------------------------------------------------------------------------------------
def test_positions_of_a_question_by_hand(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    (tmp_path / "en-de.txt").write_text("good\tnot at all\nalright\tnot\nfilm\tla\nbad\tso\n")
    family = SpanQA(task("squad"))
    asked = Question(
        key="k", id="k", question="is good", context="alright bad film was good .", answers=(Answer(start=12, text="film"),)
    )
    (row,) = arrays(family.encode([asked], tokenizer, 128))
    method = CodeSwitcher(tokenizer, tmp_path, seed=1, stream=0, probability=1)
    after = method.rewrite(comparable_row(row, family), family, "en", 0, 0)
    assert tokenizer.decode(after["tokens"]) == "<s> is not at all</s></s> not so film was not at all .</s>"
    assert tokenizer.decode(after["tokens"][after["start"] : after["end"] + 1]).strip() == "film"
    spans = [asked.context[begin:end].strip() for begin, end in zip(after["begins"], after["ends"], strict=True)]
    words = method.vocabulary.words(after, family)
    inside = np.arange(after["context"], len(after["tokens"]) - 1)
    bounds = zip(words.low, words.high, strict=True)
    said = [method.vocabulary.text(tuple(after["tokens"][low:high].tolist())) for low, high in bounds]
    which = np.searchsorted(words.low, inside, side="right") - 1
    pairs = [(said[word], span) for word, span in zip(which, spans, strict=True)]
    assert list(dict.fromkeys(pairs)) == [
        ("not", "alright"),
        ("so", "bad"),
        ("film", "film"),
        ("was", "was"),
        ("not", "good"),
        ("at", "good"),
        ("all", "good"),
        (".", "."),
    ]
    assert (after["words_seen"], after["words_changed"]) == (6, 4)  # 8 words without the answer and the last
    assert len(words.low) == 8 + 2 * 2
    check_answer(family, row, after, asked.context)
    # Twice over, `shared` still leads from the first row to the last.
    again = Growing(tokenizer, 1, 1).rewrite(after, family, "en", 0, 0)
    check_answer(family, row, again, asked.context)


@pytest.mark.parametrize("name, split, code", [("xquad", "test", "en"), ("xquad", "test", "th"), ("tydiqa", "train", "en")])
@pytest.mark.parametrize("method", ["growing", "subword"])
def test_real_answers_stay(shared_data: Path, real_subword: Segmenter, name: str, split: str, code: str, method: str) -> None:
    squad = task(name)
    family = family_of(squad)
    assert isinstance(family, SpanQA)
    examples = list(squad.examples(shared_data, split, code))[:40]
    rows = arrays(family.encode(examples, real_subword.vocabulary.tokenizer, 200))
    rewriter = copy(real_subword)
    rewriter.max_length = 220
    if method == "growing":
        rewriter.replacements = MethodType(Growing.replacements, rewriter)  # type: ignore[method-assign]
    changed = answered = 0
    for number, row in enumerate(rows):
        after = rewriter.rewrite(comparable_row(row, family), family, code, number, 0)
        context = examples[row["example"]].context
        check_answer(family, row, after, context)
        assert len(after["tokens"]) <= 220
        changed += after["words_changed"]
        if row["start"] > 0:
            answered += 1
            place = slice(after["start"] - after["context"], after["end"] + 1 - after["context"])
            found = context[after["begins"][place][0] : after["ends"][place][-1]]
            answers = examples[row["example"]].answers
            assert answers
            assert answers[0].text in found or code == "th"
    assert answered > 20
    assert changed > 4 * len(rows)


def _subword(tokenizer: PreTrainedTokenizerBase, **options: Any) -> Segmenter:
    return Segmenter(tokenizer, seed=1, stream=0, probability=0.5, **options)


def test_both_views_have_the_same_places(tokenizer: PreTrainedTokenizerBase) -> None:
    family = SpanQA(task("squad"))
    texts = ["good bad film was good", "the movie was not so bad at all", "fine"]
    asked = [
        Question(key=text, id=text, question="is the film good", context=text, answers=(Answer(start=0, text=text.split()[0]),))
        for text in texts
    ]
    rows = arrays(family.encode(asked, tokenizer, 128))
    method = Growing(tokenizer, 1, 0)
    made = [method.rewrite(comparable_row(row, family), family, "en", number, 0) for number, row in enumerate(rows)]
    batch = collate_pair(made, rows, range(3), family)
    assert batch.plain is not None
    here, there = batch.targets["shared"], batch.plain.targets["shared"]
    assert here.shape == there.shape
    assert batch.token_row[here].tolist() == batch.plain.token_row[there].tolist()
    assert (batch.tokens[here] == batch.plain.tokens[there]).float().mean() > 0.5
    assert (batch.row_positions[here] == 0).sum() == 3
    assert batch.words.changed == sum(row["words_changed"] for row in made) > 3
    assert (batch.plain.words.seen, batch.plain.plain) == (0, None)
    moved = batch.to("meta")
    assert moved.plain is not None
    assert {moved.tokens.device.type, moved.plain.tokens.device.type, moved.plain.targets["shared"].device.type} == {"meta"}
    # Gold points at the same tokens in both.
    for gold, other in zip(batch.targets["gold"].flatten(), batch.plain.targets["gold"].flatten(), strict=True):
        assert batch.tokens[gold] == batch.plain.tokens[other]
    # Without a comparison there is no such target.
    assert "shared" not in collate([method.rewrite(row, family, "en", 0, 0) for row in rows], range(3), family).targets


# --- tagging -------------------------------------------------------------------------------------------------------------
def check_tags(family: Family, vocabulary: WordPieces, row: Row, after: Row) -> None:
    assert after["labels"].tolist() == row["labels"].tolist()
    assert len(after["words"]) == len(row["words"])
    assert (
        vocabulary.starts[after["tokens"][after["words"]]].tolist() == vocabulary.starts[row["tokens"][row["words"]]].tolist()
    )
    grouped = vocabulary.words(after, family)
    assert grouped.low.tolist() == after["words"].tolist()  # the words of the row are the task's words
    assert grouped.high.tolist() == [*after["words"][1:].tolist(), len(after["tokens"]) - 1]


def test_a_task_word_of_several_pieces_of_text_is_one_word(tokenizer: PreTrainedTokenizerBase) -> None:
    family = Tagging(task("udpos"))
    example = Tagged(words=("good", "not at", "Ω", "\u200b", "film"), tags=("ADJ", "ADV", "X", "X", "NOUN"))
    (row,) = arrays(family.encode([example], tokenizer, 64))
    vocabulary = WordPieces(tokenizer)
    words = vocabulary.words(row, family)
    assert words.low.tolist() == row["words"].tolist()
    assert words.free.tolist() == [True, True, False, False, True]
    texts = [vocabulary.text(tuple(row["tokens"][a:b].tolist())) for a, b in zip(words.low, words.high, strict=True)]
    assert texts[:2] == ["good", "not at"]
    for epoch in range(20):
        check_tags(family, vocabulary, row, _subword(tokenizer).rewrite(row, family, "en", 0, epoch))


@pytest.mark.parametrize(
    "name, split, code", [("udpos", "dev", "en"), ("udpos", "test", "yo"), ("panx", "dev", "my"), ("panx", "dev", "ka")]
)
def test_real_tags_stay_with_their_words(shared_data: Path, real_subword: Segmenter, name: str, split: str, code: str) -> None:
    family = Tagging(task(name))
    examples = list(family.task.examples(shared_data, split, code))[:100]
    method = copy(real_subword)
    method.max_length = 64
    rows = arrays(family.encode(examples, method.vocabulary.tokenizer, 64))
    changed = 0
    for number, row in enumerate(rows):
        after = method.rewrite(row, family, code, number, 0)
        check_tags(family, method.vocabulary, row, after)
        assert len(after["tokens"]) <= 64
        changed += after["words_changed"]
    assert changed > len(rows) / 2


def test_thai_and_chinese_words_are_words(real_subword: Segmenter) -> None:
    """Scripts without white space: given word by word, each begins with its own piece."""
    family = Tagging(task("udpos"))
    sentences = [("ฉัน", "รัก", "ประเทศ", "ไทย", "๑๒", "."), ("我", "在", "北京", "大学", "学习", "。", "１", "ﷺ")]
    examples = [Tagged(words=words, tags=("NOUN",) * len(words)) for words in sentences]
    method = real_subword
    rows = arrays(family.encode(examples, method.vocabulary.tokenizer, 64))
    for words, row in zip(sentences, rows, strict=True):
        grouped = method.vocabulary.words(row, family)
        assert len(grouped.low) == len(words)
        assert grouped.free.all()
        for epoch in range(10):
            check_tags(family, method.vocabulary, row, method.rewrite(row, family, "th", 0, epoch))


# --- dual encoder --------------------------------------------------------------------------------------------------------
def test_each_side_of_a_pair_has_its_own_limit(tokenizer: PreTrainedTokenizerBase) -> None:
    family = DualEncoder(task("mewslix-pairs"))
    pair = (Query(id="q", text="good film bad film"), Passage(id="p", text="good bad fine film"))
    query = family.task.query_length
    assert query
    (row,) = arrays(family.encode([pair], tokenizer, 128))
    assert family.limits(row, 128) == [min(query, 128), 128]
    assert family.limits({**row, "lengths": row["lengths"][:1]}, 128) == [min(query, 128)]
    method = Growing(tokenizer, 1, 0)
    after = method.rewrite(row, family, "en", 0, 0)
    assert after["words_changed"] > 0
    assert after["lengths"].sum() == len(after["tokens"])
    first = after["tokens"][: after["lengths"][0]]
    assert (first[0], first[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)


# --- batches -------------------------------------------------------------------------------------------------------------
RUN = """
name: rewriting
folder: {folder}/run
model: {{backbone: {folder}/encoder}}
data: {{root: {folder}/benchmark, cache: {folder}/cache}}
train:
  tasks: [{{task: xnli}}, {{task: udpos}}, {{task: squad}}, {{task: siqa}}]
  steps: 6
  batch_size: 32
runtime: {{micro_batch_tokens: 400}}
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Preparation, PreTrainedTokenizerBase]:
    folder = tmp_path_factory.mktemp("batches")
    tiny_families(folder / "benchmark")
    tokenizer = words_tokenizer(folder / "encoder")
    (folder / "run.yaml").write_text(RUN.format(folder=folder))
    run = load_run(folder / "run.yaml")
    preparation = prepared_of(run, tokenizer)
    preparation.make_missing()
    return run, preparation, tokenizer


def rows_of(data: TrainingData, step: int, world: int) -> dict[tuple[str, int], list[int]]:
    """The tokens of every row of a step, on any rank."""
    found = {}
    for rank in range(world):
        for batch in data.step(step, rank, world):
            if not batch.dummy:
                for place, number in enumerate(batch.row_ids.tolist()):
                    found[batch.head, number] = batch.tokens[batch.token_row == place].tolist()
    return found


def test_one_and_two_ranks_rewrite_the_same_rows_alike(prepared: tuple[Any, Preparation, PreTrainedTokenizerBase]) -> None:
    run, preparation, tokenizer = prepared
    plain = data_of(run, preparation)
    data = data_of(run, preparation, [Growing(tokenizer, run.seed, 0), _subword(tokenizer)])
    for step in range(3):
        one = rows_of(data, step, 1)
        assert one == rows_of(data, step, 2)
        before = rows_of(plain, step, 1)
        assert one.keys() == before.keys()
        assert sum(one[key] != before[key] for key in one) > len(one) / 2


def test_a_step_with_its_plain_rows(prepared: tuple[Any, Preparation, PreTrainedTokenizerBase]) -> None:
    run, preparation, tokenizer = prepared
    untouched = data_of(run, preparation)
    data = data_of(run, preparation, [Growing(tokenizer, run.seed, 0)], keep_plain=True)
    for step in range(2):
        pairs = zip(data.step(step, 0, 2), untouched.step(step, 0, 2), strict=True)
        for batch, before in pairs:
            assert batch.plain is not None
            assert before.plain is None
            assert torch.equal(batch.plain.tokens, before.tokens)
            assert torch.equal(batch.row_ids, before.row_ids)
            assert before.words == (0, 0, 0)
            assert batch.dummy or batch.words.seen >= batch.words.changed + batch.words.too_long > 0
            assert ("shared" in batch.targets) == (batch.head == "squad")
            for name in ("label", "labels", "options"):
                if name in before.targets:
                    assert torch.equal(batch.targets[name], before.targets[name])


def test_without_rewriters_both_views_are_equal(prepared: tuple[Any, Preparation, PreTrainedTokenizerBase]) -> None:
    run, preparation, _ = prepared
    for batch in data_of(run, preparation, keep_plain=True).step(0, 0, 1):
        assert batch.plain is not None
        assert torch.equal(batch.tokens, batch.plain.tokens)
        for name, value in batch.targets.items():
            assert torch.equal(value, batch.plain.targets[name])
