"""The catalog against the official facts, and each hub column mapping on a Parquet file of that schema."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from resolved_of import scored_of, trained_of
from tiny_families import tiny_families

from xdist.config import load_run
from xdist.errors import UserError
from xdist.formats.examples import Answer, Choice, Classified, Question, Sentence, Tagged
from xdist.languages import LANGUAGES
from xdist.metrics import metric
from xdist.metrics.transfer import transfer_matrix
from xdist.tasks.catalog import TASKS, XTREME_R, task
from xdist.tasks.check import check_split, files_there
from xdist.tasks.families import FAMILIES
from xdist.tasks.family import family_of

SIZES = {
    "xnli": 15,
    "xcopa": 11,
    "udpos": 38,
    "panx": 48,
    "xquad": 12,
    "mlqa": 7,
    "tydiqa": 9,
    "tatoeba": 41,
    "pawsx": 7,
    "americasnli": 10,
    "xnli-pairs": 225,
    "pawsx-pairs": 49,
    "squad": 1,
    "siqa": 1,
    "copa": 1,
}


def test_official_numbers_of_languages() -> None:
    assert {name: len(task(name).languages) for name in SIZES} == SIZES
    for name in set(SIZES) & set(XTREME_R):
        assert set(task(name).languages) <= set(LANGUAGES)
        assert len(set(task(name).languages)) == SIZES[name]


def test_the_language_table_is_reached() -> None:
    """Tasks per language, as the table of the fifty has them (LAReQA and Mewsli-X aside)."""
    tasks = Counter(code for name in XTREME_R if name in SIZES for code in task(name).languages)
    assert (tasks["sw"], tasks["wo"], tasks["qu"], tasks["yo"], tasks["en"], tasks["ar"]) == (5, 1, 2, 2, 6, 7)
    assert set(tasks) == set(LANGUAGES)


@pytest.mark.parametrize("name", SIZES)
def test_every_entry_is_complete(name: str) -> None:
    entry = task(name)
    assert FAMILIES.has(entry.family)
    assert entry.licence
    assert entry.source
    for other in (*entry.trained_on, *([entry.shared_head] if TASKS.has(entry.shared_head) else [])):
        assert "train" in task(other).files
        assert task(other).head == entry.head or entry.family == "sentence-retrieval"
    for split, counts in entry.counts.items():
        assert split in entry.files
        assert isinstance(counts, int) or set(counts) <= set(entry.languages)
    assert metric(entry.metric).headline in {"accuracy", "f1", "map@20"}


def test_official_counts() -> None:
    assert task("xnli").count("train", "en") == 392_702
    assert (task("panx").count("train", "et"), task("panx").count("test", "yo"), task("panx").count("dev", "en")) == (
        *(15_000, 100),
        10_000,
    )
    assert (task("udpos").count("test", "el"), task("udpos").count("test", "fr")) == (456, None)
    for split, total in (("train", 49_881), ("test", 5_077)):
        assert sum(task("tydiqa").count(split, code) or 0 for code in task("tydiqa").languages) == total
    assert sum(task("americasnli").count("test", code) or 0 for code in task("americasnli").languages) == 7_486
    assert task("tatoeba").count("test", "jv") == 205


def test_heads_are_shared_where_the_training_data_is_anothers() -> None:
    assert {task(name).head for name in ("siqa", "copa", "xcopa")} == {"choice"}
    assert {task(name).head for name in ("squad", "xquad", "mlqa")} == {"squad"}
    assert {task(name).head for name in ("xnli", "americasnli", "xnli-pairs")} == {"xnli"}
    assert task("tydiqa").head == "tydiqa"


# --- the files at hand ---------------------------------------------------------------------------------------------------
def test_check_counts_the_real_files(shared_data: Path) -> None:
    names = ("xcopa", "copa", "siqa", "xquad", "tydiqa", "mlqa", "tatoeba", "pawsx", "sib200")
    there = files_there(shared_data, [task(name) for name in names])
    assert Counter(entry.name for entry, _, _ in there)["xquad"] == 12
    assert Counter(split for entry, split, _ in there if entry.name == "sib200") == {"train": 50, "dev": 50, "test": 102}
    for entry, split, code in there:
        found = check_split(entry, shared_data, split, code)
        assert (found.count, found.remark) == (found.official, ""), (entry.name, split, code)
        assert found.gold
    part = check_split(task("udpos"), shared_data, "train", "en")
    assert (part.count, part.official, part.remark) == (6_000, 21_253, "a part")


def test_gold_is_needed_in_training_and_development(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        path = tmp_path / f"xnli/{split}-en.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("a\tb\n")
        if split == "test":
            assert [example.label for example in task("xnli").examples(tmp_path, split, "en")] == [None]
        else:
            with pytest.raises(UserError, match=rf"{split}-en.tsv:1: gold is missing or blanked"):
                list(task("xnli").examples(tmp_path, split, "en"))


def test_americasnli_as_published(tmp_path: Path) -> None:
    path = tmp_path / "anli_final/dev/quy.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("id\tlanguage\tpremise\thypothesis\tlabel\n1\tquy\ta\tb\tneutral\n2\tquy\tc\td\tcontradictory\n")
    assert list(task("americasnli").examples(tmp_path, "dev", "quy")) == [
        Classified(texts=("a", "b"), label="neutral"),
        Classified(texts=("c", "d"), label="contradiction"),
    ]


# --- mixed pairs ---------------------------------------------------------------------------------------------------------
def test_pairs_join_parallel_rows(tmp_path: Path) -> None:
    root = tiny_families(tmp_path)
    first = list(task("xnli").examples(root, "test", "en"))
    second = list(task("xnli").examples(root, "test", "sw"))
    assert list(task("xnli-pairs").examples(root, "test", "en-sw")) == [
        Classified(texts=(left.texts[0], right.texts[1]), label=left.label) for left, right in zip(first, second, strict=True)
    ]
    assert list(task("xnli-pairs").examples(root, "test", "en-en")) == first
    (root / "xnli/test-sw.tsv").write_text("a\tb\tneutral\n")
    with pytest.raises(UserError, match=r"test-en.tsv and .*test-sw.tsv: (the second ends before row 2|row 1: labels)"):
        list(task("xnli-pairs").examples(root, "test", "en-sw"))


def test_real_pawsx_pairs_leave_untranslated_rows_out(shared_data: Path) -> None:
    counts = {pair: check_split(task("pawsx-pairs"), shared_data, "dev", pair) for pair in ("en-de", "de-en", "de-zh", "en-en")}
    assert {pair: (found.count, found.untranslated) for pair, found in counts.items()} == {
        "en-de": (1932, 68),
        "de-en": (1932, 68),
        "de-zh": (1919, 81),
        "en-en": (2000, 0),
    }
    assert counts["de-zh"].remark == "81 untranslated rows skipped"


def test_transfer_matrix() -> None:
    scores = {"en-en": 80, "de-de": 70, "sw-sw": 60, "en-de": 50, "de-en": 40, "en-sw": 30, "sw-en": 20, "de-sw": 10}
    found = transfer_matrix({pair: {"accuracy": float(value), "count": 9} for pair, value in scores.items()})
    assert found.languages == ("sw", "de", "en")
    assert found.matrix[2, 1] == 50
    assert found.matrix[1, 2] == 40
    assert str(found.matrix[0, 1]) == "nan"
    assert found.means == {"diagonal": 70.0, "off_diagonal": 30.0, "english_first": 40.0, "english_second": 30.0}
    longer = {"en": "eng_Latn", "de": "deu_Latn", "sw": "swh_Latn"}
    named = {"-".join(longer[code] for code in pair.split("-")): {"accuracy": float(value)} for pair, value in scores.items()}
    assert transfer_matrix(named).means == found.means
    with pytest.raises(UserError, match="'en' is no pair of languages"):
        transfer_matrix({"en": {"accuracy": 1.0}})


# --- the hub -------------------------------------------------------------------------------------------------------------
SQUAD_ROW = {
    "id": "q1",
    "title": "t",
    "context": "Kenya na Peru",
    "question": "wapi?",
    "answers": {"text": ["Peru"], "answer_start": [9]},
}
SQUAD = Question(key="q1", id="q1", question="wapi?", context="Kenya na Peru", answers=(Answer(start=9, text="Peru"),))
NLI_ROW = {"premise": "a", "hypothesis": "b", "label": 2}
NLI = Classified(texts=("a", "b"), label="contradiction")
COPA_ROW = {"premise": "P.", "choice1": "a", "choice2": "b", "question": "cause", "label": 1, "idx": 0, "changed": False}
COPA = Choice(prompt="P. What was the cause?", options=("a", "b"), label=1)
SIQA_ROW = {"context": "C.", "question": "Q?", "answerA": "a", "answerB": "b", "answerC": "c", "label": "1"}

HUB: list[tuple[str, str, str, str, dict[str, Any], list[Any]]] = [
    ("xnli", "test", "sw", "facebook/xnli/sw/test-00000-of-00001.parquet", NLI_ROW, [NLI]),
    ("xnli", "train", "en", "facebook/xnli/en/train-00000-of-00001.parquet", NLI_ROW, [NLI]),
    ("americasnli", "dev", "quy", "nala-cub/americas_nli/quy/validation-00000-of-00001.parquet", NLI_ROW, [NLI]),
    (
        *("pawsx", "test", "ko", "google-research-datasets/paws-x/ko/test-00000-of-00001.parquet"),
        {"id": 1, "sentence1": "a", "sentence2": "b", "label": 1},
        [Classified(texts=("a", "b"), label="1")],
    ),
    (
        *("siqa", "train", "en", "allenai/social_i_qa/default/train/0000.parquet"),
        SIQA_ROW,
        [Choice(prompt="C. Q?", options=("a", "b", "c"), label=0)],
    ),
    ("copa", "dev", "en", "aps/super_glue/copa/validation/0000.parquet", COPA_ROW, [COPA]),
    ("xcopa", "test", "qu", "cambridgeltl/xcopa/qu/test-00000-of-00001.parquet", COPA_ROW, [COPA]),
    (
        *("udpos", "test", "wo", "izhx/xtreme-r-udpos/wo/test.parquet"),
        {"tokens": ["a", "b"], "pos_tags": ["NOUN", "X"]},
        [Tagged(words=("a", "b"), tags=("NOUN", "X"))],
    ),
    (
        *("panx", "test", "yo", "unimelb-nlp/wikiann/yo/test-00000-of-00001.parquet"),
        {"tokens": ["Èkó", "dára"], "ner_tags": [5, 0], "langs": ["yo", "yo"], "spans": ["LOC: Èkó"]},
        [Tagged(words=("Èkó", "dára"), tags=("B-LOC", "O"))],
    ),
    ("squad", "train", "en", "rajpurkar/squad/plain_text/train-00000-of-00001.parquet", SQUAD_ROW, [SQUAD]),
    ("xquad", "test", "ro", "google/xquad/xquad.ro/validation-00000-of-00001.parquet", SQUAD_ROW, [SQUAD]),
    ("mlqa", "test", "hi", "facebook/mlqa/mlqa.hi.hi/test/0000.parquet", SQUAD_ROW, [SQUAD]),
    ("tydiqa", "test", "sw", "juletxara/tydiqa_xtreme/sw/validation/0000.parquet", SQUAD_ROW, [SQUAD]),
    (
        *("tatoeba", "test", "fa", "mteb/tatoeba-bitext-mining/pes-eng/test/0000.parquet"),
        {"sentence1": "یک", "sentence2": "One", "lang": "pes-eng"},
        [("foreign", Sentence(id="0", text="یک")), ("english", Sentence(id="0", text="One", gold="0"))],
    ),
]


@pytest.mark.parametrize("name, split, code, file, row, expected", HUB, ids=[f"{row[0]}-{row[1]}" for row in HUB])
def test_hub_columns(
    tmp_path: Path, name: str, split: str, code: str, file: str, row: dict[str, Any], expected: list[Any]
) -> None:
    entry, path = task(name), tmp_path / "hub" / file
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([row]), path)
    assert entry.paths(tmp_path, split, code) == (path,)
    assert list(entry.examples(tmp_path, split, code)) == expected
    # The official files come first.
    for pattern in entry.files[split]:
        official = tmp_path / pattern.format(language=code)
        official.parent.mkdir(parents=True, exist_ok=True)
        official.touch()
    assert entry.paths(tmp_path, split, code)[0].suffix != ".parquet"


def test_every_hub_set_is_tested() -> None:
    assert {row[0] for row in HUB} == {name for name in SIZES if task(name).hub}


# --- recipes -------------------------------------------------------------------------------------------------------------
ROOT = Path(__file__).resolve().parents[2] / "jobs" / "runs" / "xtreme-r"
RECIPES = {
    "xnli": (3e-5, 5, 0, 0, {"xnli"}),
    "pawsx": (2e-5, 5, 0, 0, {"pawsx"}),
    "udpos": (2e-5, 10, 0, 0, {"udpos"}),
    "panx": (2e-5, 10, 0, 0, {"panx"}),
    "squad": (3e-5, 3, 500, 1e-4, {"xquad", "mlqa", "tatoeba"}),
    "tydiqa": (3e-5, 3, 500, 1e-4, {"tydiqa"}),
    "siqa": (3e-5, 5, 0, 0, {"siqa", "xcopa"}),
    "copa": (3e-5, 5, 0, 0, {"xcopa"}),
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_the_official_ones(name: str) -> None:
    run = load_run(ROOT / f"{name}.yaml")
    rate, epochs, warmup, decay, evaluated = RECIPES[name]
    assert run.train is not None
    assert run.evaluate is not None
    assert (run.name, run.folder) == (name, Path("runs/xtreme-r") / name)
    assert (run.train.learning_rate, run.train.epochs, run.train.warmup, run.train.weight_decay) == (
        rate,
        epochs,
        warmup,
        decay,
    )
    assert (run.train.batch_size, run.train.epsilon, run.train.clip, run.runtime.precision) == (32, 1e-8, 1.0, "fp32")
    assert [str(subset) for subset in trained_of(run)] == [f"{name} train en"]
    assert set(run.evaluate.tasks) == evaluated
    trained = task(name).head
    assert all(task(other).head == trained or other == "tatoeba" for other in run.evaluate.tasks)
    assert family_of(task(name)).task.max_length == (384 if name in ("squad", "tydiqa") else 128)


def test_recipes_can_be_evaluated_where_the_files_are(tmp_path: Path) -> None:
    root = tiny_families(tmp_path)
    run = load_run(ROOT / "squad.yaml", [f"data.root={root}", "evaluate.tasks=[xquad,mlqa]"])
    assert Counter(subset.task.name for subset in scored_of(run)) == {"xquad": 3, "mlqa": 3}
