"""Retrieval families: their rows, their losses, what they make of a search, and the sets they read."""

import json
import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from generated_mewslix import generate
from resolved_of import trained_of
from tiny_families import squad_file
from tiny_retrieval import LAREQA, bucc, tiny_retrieval, xquad_r
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xdist.config import load_run
from xdist.data.batches import collate
from xdist.errors import UserError
from xdist.evaluation import submission
from xdist.evaluation.search import top_k
from xdist.formats import lareqa, parallel
from xdist.formats.examples import Passage, Query, Sentence
from xdist.metrics import mining
from xdist.tasks.catalog import task
from xdist.tasks.catalog.task import POOL
from xdist.tasks.check import check_split
from xdist.tasks.dual import CANDIDATE, QUERY, DualEncoder, Pooler
from xdist.tasks.family import family_of
from xdist.tasks.mining import Mining


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PreTrainedTokenizerBase]:
    root, backbone = tiny_retrieval(tmp_path_factory.mktemp("retrieval"))
    return root, AutoTokenizer.from_pretrained(backbone)


class Columns:
    """Encoded rows, as families read them."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def column(self, name: str) -> np.ndarray:
        return np.array([row[name] for row in self.rows])

    def row(self, number: int) -> dict[str, Any]:
        return self.rows[number]


# --- dual encoder ----------------------------------------------------------------------------------------------------
def test_training_rows_are_a_question_and_a_sentence_with_its_paragraph(
    small: tuple[Path, PreTrainedTokenizerBase],
) -> None:
    root, tokenizer = small
    entry = task("squad-sentences")
    pairs = list(entry.examples(root, "train", "en"))
    assert len(pairs) == 36
    rows = list(family_of(entry).encode(iter(pairs), tokenizer, 48))
    for number, ((query, passage), row) in enumerate(zip(pairs, rows, strict=True)):
        first, second = row["lengths"]
        asked = tokenizer(query.text)["input_ids"]
        answer = tokenizer(passage.text + passage.context)["input_ids"]
        assert row["example"] == number
        assert row["tokens"][:first] == asked
        assert row["tokens"][first:] == [*answer[:47], answer[-1]][: len(answer)]
        assert second == min(len(answer), 48)
        assert row["cut"] == max(0, len(answer) - 48)


def test_queries_and_answers_have_lengths_of_their_own(small: tuple[Path, PreTrainedTokenizerBase]) -> None:
    _, tokenizer = small
    family = family_of(task("lareqa"))
    text = "Kenya " * 400
    query, candidate = family.encode(
        [("query", Query(id="q", text=text)), ("candidate", Passage(id="c", text=text, context="Peru\n"))], tokenizer, 256
    )
    assert (query["lengths"], candidate["lengths"]) == ([96], [256])
    assert (query["side"], candidate["side"]) == (QUERY, CANDIDATE)
    assert (bytes(query["id"]), bytes(candidate["id"])) == (b"q", b"c")


def test_the_loss_is_the_official_one_within_each_group() -> None:
    family = DualEncoder(task("squad-sentences"))
    rows = [{"tokens": np.arange(6), "lengths": np.array([2, 4])} for _ in range(5)]
    batch = collate(rows, range(5), family, group=[0, 0, 0, 1, 1])
    assert batch.targets["group"].tolist() == [0, 0, 0, 1, 1]
    torch.manual_seed(0)
    hidden = torch.randn(10, 8)
    head = Pooler(8)
    outputs = head(hidden)
    pooled = torch.tanh(hidden @ head.dense.weight.T + head.dense.bias)
    expected = 0.0
    for group in ([0, 1, 2], [3, 4]):
        for query in group:
            cosine = [torch.cosine_similarity(pooled[2 * query], pooled[2 * answer + 1], dim=0).item() for answer in group]
            expected -= 100 * cosine[group.index(query)] - math.log(sum(math.exp(100 * value) for value in cosine))
    loss = family.loss(outputs, batch)
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    loss.backward()
    assert head.scale.item() == 100
    assert torch.isfinite(head.scale.grad).all()
    # d(loss)/d(scale) by difference
    with torch.no_grad():
        head.scale += 0.5
        slope = (family.loss(head(hidden), batch) - loss).item() / 0.5
    assert head.scale.grad.item() == pytest.approx(slope, rel=0.05, abs=1e-3)


def test_vectors_do_not_carry_the_scale() -> None:
    family = DualEncoder(task("lareqa"))
    batch = collate([{"tokens": np.arange(3), "lengths": np.array([3])}] * 2, range(2), family)
    vectors = family.vectors(Pooler(8)(torch.randn(2, 8)), batch)
    assert vectors.norm(dim=1).tolist() == pytest.approx([1.0, 1.0])


def test_lareqa_by_hand(small: tuple[Path, PreTrainedTokenizerBase]) -> None:
    root, tokenizer = small
    entry, family = task("lareqa"), family_of(task("lareqa"))
    asked = list(entry.examples(root, "test", "th"))
    assert [query.id for _, query in asked[:3]] == ["p0q0_th", "p0q1_th", "p0q2_th"]
    assert {len(query.relevant) for _, query in asked} == {11}
    assert asked[1][1].relevant == tuple(f"{code}_1_1" for code in LAREQA)
    pool = [example for code in entry.pool for example in entry.examples(root, POOL, code)]
    assert len(pool) == 11 * 6 * 4
    rows = Columns(list(family.encode(iter(pool), tokenizer, 256)))
    numbers = np.full((len(asked), 20), -1)
    numbers[0, :2] = [1, 0]  # the first answer of paragraph 1 in Arabic comes second
    numbers[1, 0] = 1
    found = family.answers(np.zeros(numbers.shape), numbers, rows)
    finished = family.finish(found, rows, asked)
    assert finished["p0q0_th"] == ["ar_1_1", "ar_1_0"]
    assert finished["p0q2_th"] == []
    expected = 100 * (1 / 2 / 11 + 1 / 11) / len(asked)
    assert family.score(finished, asked, "th") == pytest.approx({"map@20": expected})


def test_lareqa_has_13014_candidates_and_11_answers(shared_data: Path) -> None:
    entry = task("lareqa")
    for code in entry.pool:
        found = check_split(entry, shared_data, POOL, code)
        assert found.count == found.official, code
    assert sum(entry.counts[POOL].values()) == 13_014  # type: ignore[union-attr]
    for code in ("en", "th"):
        queries = [query for _, query in entry.examples(shared_data, "test", code)]
        assert len(queries) == entry.count("test", code) == 1190
        assert {len(query.relevant) for query in queries} == {11}
        assert {query.id.rsplit("_", 1)[1] for query in queries} == {code}
        assert Counter(id.split("_")[0] for id in queries[0].relevant) == dict.fromkeys(entry.pool, 1)


def test_training_questions_without_a_sentence_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "One ends.  Two ends."
    answers = {"a": (0, "One"), "b": (9, "  Two"), "c": (11, "Two")}
    asked = [{"id": id, "question": "?", "answers": [{"answer_start": s, "text": t}]} for id, (s, t) in answers.items()]
    path = tmp_path / "train.json"
    path.write_text(json.dumps(squad_file([{"context": text, "qas": asked}])))
    found = list(lareqa.pairs(path))
    assert [(query.id, passage.text, passage.context) for query, passage in found] == [
        ("a", "One ends.", text),
        ("c", "Two ends.", text),
    ]
    assert caplog.messages == [f"{path}: 1 questions skipped: their answer begins in no sentence"]


# --- Mewsli-X --------------------------------------------------------------------------------------------------------
def test_mewslix_is_generated_in_the_released_format(tmp_path: Path) -> None:
    root = generate(tmp_path / "a", candidates=50, mentions=7, languages=("de",), pairs=9)
    again = generate(tmp_path / "b", candidates=50, mentions=7, languages=("de",), pairs=9)
    files = sorted(path.relative_to(root) for path in root.rglob("*.*"))
    assert len(files) == 6
    assert all((root / file).read_bytes() == (again / file).read_bytes() for file in files)
    entry = task("mewslix")
    pool = {passage.id: passage.text for _, passage in entry.examples(root, POOL, "all")}
    assert len(pool) == 50
    for split in ("dev", "test"):
        for _, query in entry.examples(root, split, "de"):
            name = query.text.split(":")[0]
            assert f"{{ {name} }}" in query.text
            assert pool[query.relevant[0]].startswith(name)
    for query, passage in task("mewslix-pairs").examples(root, "train", "en"):
        assert pool[query.relevant[0]] == passage.text


def test_mewslix_without_labels_is_blanked(tmp_path: Path) -> None:
    root = generate(tmp_path, candidates=9, mentions=3, languages=("de",))
    entry, family = task("mewslix"), family_of(task("mewslix"))
    labels = root / "mewslix/wikinews_labels/test-de.json"
    labels.write_text('{"de-test-0": ["Q1"]}')
    with pytest.raises(UserError, match=r"test-de.json: no entity for example 'de-test-1' of .*test-de.jsonl$"):
        list(entry.examples(root, "test", "de"))
    labels.unlink()
    asked = list(entry.examples(root, "test", "de"))
    assert [query.relevant for _, query in asked] == [None] * 3
    assert family.score({query.id: ["Q1"] for _, query in asked}, asked, "de") == {}


def test_mewslix_of_the_hub(tmp_path: Path) -> None:
    tables: dict[str, dict[str, list[str]]] = {
        "wikipedia_pairs/train": {"mention": ["Chur: in { Chur } ."], "entity": ["Chur is a town."]},
        "candidate_entities/test": {"entity_id": ["Q1", "Q2"], "description": ["One.", "Two."]},
        "ta/test": {"mention": ["Bern: { Bern } ."], "entity_id": ["Q2"]},
    }
    for name, columns in tables.items():
        path = tmp_path / "hub/izhx/mewsli-x" / f"{name}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table(columns), path)
    entry = task("mewslix")
    assert list(entry.examples(tmp_path, POOL, "all")) == [
        ("candidate", Passage(id="Q1", text="One.")),
        ("candidate", Passage(id="Q2", text="Two.")),
    ]
    asked = Query(id="0", text="Bern: { Bern } .", relevant=("Q2",))
    assert list(entry.examples(tmp_path, "test", "ta")) == [("query", asked)]
    assert list(task("mewslix-pairs").examples(tmp_path, "train", "en")) == [
        (Query(id="0", text="Chur: in { Chur } .", relevant=("0",)), Passage(id="0", text="Chur is a town."))
    ]


# --- sentences -------------------------------------------------------------------------------------------------------
def test_labels_may_be_written_either_way_round(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    english = sorted("".join(draw.choice(list("abcdef "), draw.integers(3, 60))).strip() + "." for _ in range(120))
    order = draw.permutation(120)  # foreign row i translates English row order[i]
    foreign = [english[row] + "x" * int(draw.integers(0, 6)) for row in order]
    files = {name: tmp_path / name for name in ("foreign", "english", "labels")}
    files["foreign"].write_text("".join(f"{line}\n" for line in foreign))
    files["english"].write_text("".join(f"{line}\n" for line in english))
    expected = [str(row) for row in np.argsort(order)]
    for rows in (np.argsort(order), order):
        files["labels"].write_text("".join(f"{row}\n" for row in rows))
        found = list(parallel.read_sides(*files.values()))
        assert [sentence.gold for side, sentence in found if side == "english"] == expected
        assert [sentence.text for side, sentence in found if side == "foreign"] == foreign
    assert all(sentence.gold is None for _, sentence in parallel.read_sides(files["foreign"], files["english"]))


@pytest.mark.parametrize("code", ["ar", "de", "jv", "ka", "sw", "ta", "zh"])
def test_real_labels_pair_sentences_of_like_length(shared_data: Path, code: str) -> None:
    examples = list(task("tatoeba").examples(shared_data, "test", code))
    foreign = [sentence.text for side, sentence in examples if side == "foreign"]
    english = [sentence for side, sentence in examples if side == "english"]
    assert sorted(int(sentence.gold) for sentence in english) == list(range(len(foreign)))
    lengths = [(len(sentence.text), len(foreign[int(sentence.gold)])) for sentence in english]
    assert np.corrcoef(np.array(lengths).T)[0, 1] > 0.7


def test_a_sentence_is_found_by_its_line(small: tuple[Path, PreTrainedTokenizerBase]) -> None:
    root, tokenizer = small
    entry, family = task("ntrex"), family_of(task("ntrex"))
    examples = list(entry.examples(root, "test", "wo"))
    rows = Columns(list(family.encode(iter(examples), tokenizer, 64)))
    assert rows.column("side").tolist() == [0] * 40 + [1] * 40
    entry = replace(entry, metric="accuracy")  # the nearest of one side, as for Tatoeba
    found = family_of(entry).answers(np.zeros((40, 1)), np.arange(40)[::-1, None], rows)
    predictions = family_of(entry).finish(found, rows, examples)
    assert predictions == list(range(39, -1, -1))
    assert family_of(entry).score(list(range(40)), examples, "wo") == {"accuracy": 100.0}


def test_the_side_that_is_searched_for_is_read_in_its_own_language(tmp_path: Path) -> None:
    (tmp_path / "tasks.yaml").write_text("""tasks:
  flores:
    {family: sentence-retrieval, languages: [deu_Latn], pivot: fra_Latn, files: {test: "{language}.devtest"}, form: parallel}
""")
    for entry, pivot in ((task("flores", tmp_path / "tasks.yaml"), "fra_Latn"), (task("tatoeba"), "en")):
        family = family_of(entry)
        assert [family.language({"side": side}, "deu_Latn") for side in (0, 1)] == ["deu_Latn", pivot]


def test_both_ways_the_lines_of_each_side_are_told(tmp_path: Path, small: tuple[Path, PreTrainedTokenizerBase]) -> None:
    root, tokenizer = small
    entry, family = task("ntrex"), family_of(task("ntrex"))
    examples = list(entry.examples(root, "test", "wo"))
    rows = Columns(list(family.encode(iter(examples), tokenizer, 64)))
    assert (family.searches, family.k) == (((1, 0), (0, 1)), 10)
    # Every English sentence has its translation third, every foreign one first; a search gives the numbers of rows.
    from_english = np.stack([np.roll(np.arange(40), 2 - n)[:10] for n in range(40)])
    from_foreign = np.stack([40 + np.roll(np.arange(40), -n)[:10] for n in range(40)])
    found = [*family.answers(np.zeros((40, 10)), from_foreign, rows), *family.answers(np.zeros((40, 10)), from_english, rows)]
    predictions = family.finish(found, rows, examples)
    assert (predictions[0][:3], predictions[40][:3]) == ([38, 39, 0], [0, 1, 2])
    score = family.score(predictions, examples, "wo")
    assert (score["accuracy"], score["top10"], score["accuracy_back"]) == (0, 100, 100)
    path = tmp_path / "test-wo.tsv"
    submission.write_predictions(path, entry, predictions)
    assert submission.read_predictions(path, entry, examples) == predictions
    lines = path.read_text().splitlines()
    for number, line, message in (
        (1, "0 1 2", "expected 10 different rows, best first, found '0 1 2'"),
        (2, " ".join(["7"] * 10), "expected 10 different rows, best first"),
        (80, "1 2 3 4 5 6 7 8 9 40", "'40' is no row number from 0 to 39"),
    ):
        path.write_text("\n".join([*lines[: number - 1], line, *lines[number:]]) + "\n")
        with pytest.raises(UserError, match=f"^{path}:{number}: {re.escape(message)}"):
            submission.read_predictions(path, entry, examples)
    path.write_text("\n".join(lines[:40]) + "\n")
    with pytest.raises(UserError, match=f"^{path}:41: the end after 40 predictions, expected 80$"):
        submission.read_predictions(path, entry, examples)


def test_real_ntrex(shared_data: Path) -> None:
    examples = list(task("ntrex").examples(shared_data, "test", "zh"))
    assert Counter(side for side, _ in examples) == {"foreign": 400, "english": 400}
    assert examples[400][1].gold == "0"
    assert len(task("ntrex").languages) == 127  # with English, which they translate, 128


# --- mining ----------------------------------------------------------------------------------------------------------
def test_bucc_is_mined_with_the_threshold_of_dev(tmp_path: Path, small: tuple[Path, PreTrainedTokenizerBase]) -> None:
    _, tokenizer = small
    bucc(tmp_path, "de")
    entry, family = task("bucc2018"), Mining(task("bucc2018"))
    examples = list(entry.examples(tmp_path, "test", "de"))
    rows = Columns(list(family.encode(iter(examples), tokenizer, 64)))
    side = rows.column("side")
    # The two sentences that appear twice are one row each.
    assert Counter(side.tolist()) == {0: 58, 1: 50, 2: 58, 3: 50}

    draw = torch.Generator().manual_seed(3)
    texts = {sentence.text: torch.randn(12, generator=draw) for name, sentence in examples if name.endswith("english")}
    noise = 0.3 * torch.randn(len(side), 12, generator=draw)
    united = list(dict.fromkeys((name, sentence.text) for name, sentence in examples))
    spoken = [
        " ".join(word.removesuffix("de") for word in text.split()) if "foreign" in name else text for name, text in united
    ]
    vectors = torch.nn.functional.normalize(
        torch.stack([texts.get(text, torch.randn(12, generator=draw)) for text in spoken]) + noise, dim=1
    ).numpy()

    found: dict[int, np.ndarray] = {}
    for own, other in family.searches:
        asked, held = np.flatnonzero(side == own), np.flatnonzero(side == other)
        hits = top_k(*(torch.from_numpy(vectors[part]) for part in (asked, held)), torch.from_numpy(held), family.k)
        found.update(zip(asked.tolist(), family.answers(hits.scores.numpy(), hits.numbers.numpy(), rows), strict=True))
    finished = family.finish([found[row] for row in range(len(side))], rows, examples)
    score = family.score(finished, examples, "de")

    # The same by the metric's own functions, from all cosines.
    scored = []
    for first in (0, 2):
        foreign, english = vectors[side == first], vectors[side == first + 1]
        sides = []
        for queries, index in ((foreign, english), (english, foreign)):
            cosine = queries @ index.T
            order = np.argsort(-cosine, axis=1)[:, :4]
            sides.append(mining.Neighbours(np.take_along_axis(cosine, order, 1), order))
        names = ("foreign", "english") if first == 0 else ("dev-foreign", "dev-english")
        parts = [[sentence for name, sentence in examples if name == wanted] for wanted in names]
        ids = [mining.unique_ids([s.text for s in part], [s.id for s in part]) for part in parts]
        scored.append(mining.identify(mining.mine(*sides), *ids))
    gold = {(f"de-{n}", f"en-{20 + n}") for n in range(30)}
    threshold = mining.best_threshold(scored[1], gold)
    expected = mining.extract(scored[0], threshold)
    assert {tuple(line.split("\t")) for line in finished} == expected
    shared = len(expected & gold)
    assert score["f1"] == pytest.approx(200 * shared / (len(expected) + len(gold)))
    assert (score["precision"], score["recall"]) == (
        pytest.approx(100 * shared / len(expected)),
        pytest.approx(100 * shared / len(gold)),
    )
    assert score["f1"] > 80

    path = tmp_path / "test-de.tsv"
    submission.write_predictions(path, entry, finished)
    assert submission.read_predictions(path, entry, examples) == finished
    assert family.score(finished, [(name, Sentence(id=s.id, text=s.text)) for name, s in examples], "de") == {}


@pytest.mark.parametrize(
    "lines, message",
    [
        ("de-1 en-1\n", "test-de.tsv:1: expected 'other id TAB English id', found 'de-1 en-1'$"),
        ("de-1\ten-1\nde-1\ten-99\n", "test-de.tsv:2: there is no sentence 'en-99'$"),
        ("de-1\ten-1\nde-1\ten-1\n", "test-de.tsv:2: this pair is already in line 1$"),
    ],
)
def test_bad_mined_pairs(tmp_path: Path, lines: str, message: str) -> None:
    bucc(tmp_path, "de")
    path = tmp_path / "test-de.tsv"
    path.write_text(lines)
    entry = task("bucc2018")
    with pytest.raises(UserError, match=message):
        submission.read_predictions(path, entry, list(entry.examples(tmp_path, "test", "de")))


def test_gold_of_unknown_sentences_is_refused(tmp_path: Path) -> None:
    bucc(tmp_path, "de")
    (tmp_path / "bucc2018/de-en.dev.gold").write_text("de-1\ten-21\nde-2\ten-999\n")
    with pytest.raises(UserError, match=r"de-en.dev.gold:2: id 'en-999' is not in .*de-en.dev.en$"):
        list(task("bucc2018").examples(tmp_path, "dev", "de"))


# --- the catalog -----------------------------------------------------------------------------------------------------
def test_every_retrieval_task_says_what_it_is_trained_on() -> None:
    for name in ("lareqa", "mewslix"):
        (trained,) = task(name).trained_on
        assert task(trained).head == task(name).head == name
        assert task(trained).max_length == task(name).max_length
        assert task(trained).query_length == task(name).query_length
    assert (task("squad-sentences").negatives, task("mewslix-pairs").negatives) == (4, 64)


@pytest.mark.parametrize(
    "name, trained, rate, epochs, batch, negatives",
    [("lareqa", "squad-sentences", 2e-5, 3, 16, 4), ("mewslix", "mewslix-pairs", 1e-5, 2, 32, 8)],
)
def test_recipes_are_the_official_ones(name: str, trained: str, rate: float, epochs: int, batch: int, negatives: int) -> None:
    run = load_run(Path(__file__).resolve().parents[2] / f"jobs/runs/xtreme-r/{name}.yaml")
    assert run.train is not None
    assert run.evaluate is not None
    assert (run.name, run.folder, run.evaluate.tasks) == (name, Path("runs/xtreme-r") / name, (name,))
    assert [str(subset) for subset in trained_of(run)] == [f"{trained} train en"]
    assert (run.train.learning_rate, run.train.epochs, run.train.batch_size) == (rate, epochs, batch)
    assert (run.train.negatives, run.train.warmup, run.train.weight_decay) == (negatives, 0, 0)


def test_a_pool_has_languages_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="task 'mewslix': unknown language 'de'"):
        task("mewslix").paths(tmp_path, POOL, "de")
    assert [path.name for path in task("mewslix").paths(tmp_path, POOL, "all")] == ["candidate_set_entities.jsonl"]
    assert xquad_r("de") != xquad_r("en")
