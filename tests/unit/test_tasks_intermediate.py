"""Intermediate tasks: small files in the official formats, translated ones next to them, the hub's tables, tasks of a user."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from resolved_of import trained_of

from xdist.config import load_run
from xdist.errors import UserError
from xdist.formats.examples import Answer, Choice, Classified, Question, Tagged
from xdist.study import Facts
from xdist.study.expansion import identity
from xdist.tasks.catalog import sharing, task
from xdist.tasks.family import family_of

MNLI = [
    {"gold_label": "neutral", "sentence1": "A b.", "sentence2": "C.", "pairID": "1n", "genre": "fiction"},
    {"gold_label": "-", "sentence1": "No", "sentence2": "agreement.", "pairID": "2", "genre": "fiction"},
]
ANLI = {"uid": "u", "context": "C.", "hypothesis": "H.", "label": "c", "model_label": "n", "emturk": False, "reason": ""}
HELLASWAG = {"ind": 4, "ctx_a": "a", "ctx_b": "b", "ctx": "a b", "endings": ["w", "x", "y", "z"], "label": 3, "split_type": "i"}
CSQA = {
    "answerKey": "B",
    "id": "1",
    "question": {
        "question_concept": "river",
        "choices": [{"label": letter, "text": letter.lower()} for letter in "ABCDE"],
        "stem": "Where?",
    },
}
COSMOS = 'id,context,question,answer0,answer1,answer2,answer3,label\n3Q,"He said ""hi"",\nthen left .",Why ?,a,b,"c, d",e,2\n'
SIQA = {"context": "C.", "question": "Q?", "answerA": "a", "answerB": "b", "answerC": "c", "correct": "B"}
SQUAD2 = {
    "version": "v2.0",
    "data": [
        {
            "title": "t",
            "paragraphs": [
                {
                    "context": "Kenya na Peru",
                    "qas": [
                        {"id": "1", "question": "a?", "is_impossible": False, "answers": [{"text": "Peru", "answer_start": 9}]},
                        {
                            "id": "2",
                            "question": "b?",
                            "is_impossible": True,
                            "answers": [],
                            "plausible_answers": [{"text": "na", "answer_start": 6}],
                        },
                    ],
                }
            ],
        }
    ],
}
QUESTIONS = [
    Question(key="1", id="1", question="a?", context="Kenya na Peru", answers=(Answer(start=9, text="Peru"),)),
    Question(key="2", id="2", question="b?", context="Kenya na Peru", answers=()),
]
QQP = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\tA?\tB?\t1\n1\t3\t4\tshort row\n2\t5\t6\tC?\tD?\t0\n"
RTE = "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\tnot_entailment\n"


def jsonl(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


COSMOS_EXAMPLE = Choice(prompt='He said "hi",\nthen left . Why ?', options=("a", "b", "c, d", "e"), label=2)
# Task, official train file, file of Swahili, content, Examples.
FILES: list[tuple[str, str, str, str, list[Any]]] = [
    (
        *("multinli", "multinli_1.0/multinli_1.0_train.jsonl", "multinli_1.0/train-sw.jsonl", jsonl(*MNLI)),
        [Classified(texts=("A b.", "C."), label="neutral")],
    ),
    (
        *("snli", "snli_1.0/snli_1.0_train.jsonl", "snli_1.0/train-sw.jsonl", jsonl(*MNLI)),
        [Classified(texts=("A b.", "C."), label="neutral")],
    ),
    (
        *("qqp", "QQP/train.tsv", "QQP/train-sw.tsv", QQP),
        [Classified(texts=("A?", "B?"), label="duplicate"), Classified(texts=("C?", "D?"), label="not_duplicate")],
    ),
    ("rte", "RTE/train.tsv", "RTE/train-sw.tsv", RTE, [Classified(texts=("A.", "B."), label="not_entailment")]),
    (
        *("hellaswag", "hellaswag/hellaswag_train.jsonl", "hellaswag/train-sw.jsonl", jsonl(HELLASWAG)),
        [Choice(prompt="a b", options=("w", "x", "y", "z"), label=3)],
    ),
    ("cosmosqa", "cosmosqa/train.csv", "cosmosqa/train-sw.csv", COSMOS, [COSMOS_EXAMPLE]),
    (
        *("commonsenseqa", "commonsenseqa/train_rand_split.jsonl", "commonsenseqa/train-sw.jsonl", jsonl(CSQA)),
        [Choice(prompt="Where?", options=("a", "b", "c", "d", "e"), label=1)],
    ),
    (
        *("siqa", "siqa/socialIQa_v1.4_trn.jsonl", "siqa/train-sw.jsonl", jsonl(SIQA)),
        [Choice(prompt="C. Q?", options=("a", "b", "c"), label=1)],
    ),
    ("squad2", "squad2/train-v2.0.json", "squad2/train-sw.json", json.dumps(SQUAD2), QUESTIONS),
]


@pytest.mark.parametrize("name, official, translated, content, expected", FILES, ids=[row[0] for row in FILES])
def test_official_files_and_translated_ones(
    tmp_path: Path, name: str, official: str, translated: str, content: str, expected: list[Any]
) -> None:
    for code, place in (("en", official), ("sw", translated)):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(content, encoding="utf-8")
        assert list(task(name).examples(tmp_path, "train", code)) == expected
    with pytest.raises(UserError, match="train-quy"):
        list(task(name).examples(tmp_path, "train", "quy"))
    with pytest.raises(UserError, match="unknown language 'Swahili'"):
        task(name).paths(tmp_path, "train", "Swahili")


def test_anli_reads_its_three_rounds(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        path = tmp_path / f"anli_v1.0/R{number}/train.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text(jsonl({**ANLI, "context": f"C{number}."}))
    found = list(task("anli").examples(tmp_path, "train", "en"))
    assert found == [Classified(texts=(f"C{number}.", "H."), label="contradiction") for number in (1, 2, 3)]


BAD = [
    (
        "multinli",
        "multinli_1.0/multinli_1.0_train.jsonl",
        jsonl({**MNLI[0], "gold_label": "neutrl"}),
        ":1: unknown label 'neutrl'",
    ),
    ("hellaswag", "hellaswag/hellaswag_train.jsonl", jsonl({**HELLASWAG, "label": 4}), ":1: unknown label '4'"),
    ("hellaswag", "hellaswag/hellaswag_train.jsonl", jsonl({**HELLASWAG, "endings": ["w"]}), "two texts or more"),
    ("commonsenseqa", "commonsenseqa/train_rand_split.jsonl", jsonl({**CSQA, "answerKey": "F"}), "unknown answer 'F'"),
    ("cosmosqa", "cosmosqa/train.csv", COSMOS.replace(",2\n", ",4\n"), ":3: unknown label '4'"),
    ("cosmosqa", "cosmosqa/train.csv", COSMOS.replace(",e,2", ",2"), ":3: expected 8 columns"),
    ("cosmosqa", "cosmosqa/train.csv", COSMOS + '4,"open', ": not csv"),
    ("qqp", "QQP/train.tsv", QQP.replace("\t1\n", "\t2\n"), ":2: unknown label '2'"),
    ("rte", "RTE/train.tsv", "index\tsentence1\tsentence\tlabel\n", ":1: no column 'sentence2'"),
]


@pytest.mark.parametrize("name, place, content, message", BAD)
def test_bad_rows_are_told_with_their_place(tmp_path: Path, name: str, place: str, content: str, message: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        list(task(name).examples(tmp_path, "train", "en"))
    assert message in str(caught.value)
    assert str(tmp_path / place) in str(caught.value)


NLI_ROWS = [{"premise": "a", "hypothesis": "b", "label": label} for label in (2, -1, 0)]
NLI = [Classified(texts=("a", "b"), label=label) for label in ("contradiction", "entailment")]
HUB: list[tuple[str, str, list[dict[str, Any]], list[Any]]] = [
    ("multinli", "nyu-mll/multi_nli/default/train-00000-of-00001.parquet", NLI_ROWS, NLI),
    ("snli", "stanfordnlp/snli/plain_text/train-00000-of-00001.parquet", NLI_ROWS, NLI),
    ("anli", "facebook/anli/plain_text/train_r2-00000-of-00001.parquet", [NLI_ROWS[0], NLI_ROWS[2]], NLI),
    (
        *("qqp", "nyu-mll/glue/qqp/train-00000-of-00001.parquet"),
        [{"question1": "a", "question2": "b", "label": 1, "idx": 0}],
        [Classified(texts=("a", "b"), label="duplicate")],
    ),
    (
        *("rte", "nyu-mll/glue/rte/train-00000-of-00001.parquet"),
        [{"sentence1": "a", "sentence2": "b", "label": 1, "idx": 0}],
        [Classified(texts=("a", "b"), label="not_entailment")],
    ),
    (
        *("hellaswag", "Rowan/hellaswag/default/train-00000-of-00001.parquet"),
        [{"ctx": "a b", "endings": ["w", "x", "y", "z"], "label": "3"}],
        [Choice(prompt="a b", options=("w", "x", "y", "z"), label=3)],
    ),
    (
        *("cosmosqa", "allenai/cosmos_qa/default/train-00000-of-00001.parquet"),
        [{"context": "C.", "question": "Q?", **{f"answer{n}": str(n) for n in range(4)}, "label": 2}],
        [Choice(prompt="C. Q?", options=("0", "1", "2", "3"), label=2)],
    ),
    (
        *("commonsenseqa", "tau/commonsense_qa/default/train-00000-of-00001.parquet"),
        [{"question": "Where?", "choices": {"label": ["A", "B"], "text": ["a", "b"]}, "answerKey": "B"}],
        [Choice(prompt="Where?", options=("a", "b"), label=1)],
    ),
    (
        *("squad2", "rajpurkar/squad_v2/squad_v2/train-00000-of-00001.parquet"),
        [{"id": "2", "question": "b?", "context": "Kenya na Peru", "answers": {"text": [""][:0], "answer_start": [0][:0]}}],
        [QUESTIONS[1]],
    ),
]


@pytest.mark.parametrize("name, place, rows, expected", HUB, ids=[row[0] for row in HUB])
def test_the_hubs_tables(tmp_path: Path, name: str, place: str, rows: list[dict[str, Any]], expected: list[Any]) -> None:
    path = tmp_path / "hub" / place
    path.parent.mkdir(parents=True)
    table = pa.Table.from_pylist(rows)
    if name == "squad2":
        kind = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])
        table = table.set_column(3, "answers", pa.array([row["answers"] for row in rows], kind))
    pq.write_table(table, path)
    assert list(task(name).examples(tmp_path, "train", "en")) == expected
    with pytest.raises(UserError, match="no such file"):  # the English table is not another language's
        list(task(name).examples(tmp_path, "train", "de"))


# --- a user's own --------------------------------------------------------------------------------------------------------
TASKS = """\
tasks:
  news:
    family: classification
    languages: [sw, quy]
    labels: [politics, sport]
    texts: 1
    files: {train: "news/{language}.tsv"}
  web:
    family: masked-lm
    languages: [sw]
    head: mlm
    files: {train: "web/{language}"}
"""
RUN = """\
name: own
folder: out
model: {backbone: encoder}
data: {root: data, tasks: tasks.yaml}
train:
  tasks: [{task: news, languages: [sw]}, {task: web, languages: [sw]}]
  steps: 1
"""


def test_tasks_of_a_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks.yaml").write_text(TASKS)
    (tmp_path / "run.yaml").write_text(RUN)
    for name, text in {"data/news/sw.tsv": "habari\tsport\n", "data/web/sw/1.txt": "moja\n"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    run = load_run(tmp_path / "run.yaml")
    news, web = trained_of(run)
    assert [str(news), str(web)] == ["news train sw", "web train sw"]
    assert list(news.task.examples(run.data.root, "train", "sw")) == [Classified(texts=("habari",), label="sport")]
    assert [line.text for line in web.task.examples(run.data.root, "train", "sw")] == ["moja"]
    assert (news.task.head, web.task.head, news.task.metric) == ("news", "mlm", "accuracy")
    assert trained_of(run) == [news, web]
    (tmp_path / "other.yaml").write_text(TASKS.replace("texts: 1", "texts: 2"))
    other = trained_of(load_run(tmp_path / "run.yaml", ["data.tasks=other.yaml"]))[0]
    assert Facts().subset(run.data, other) != Facts().subset(run.data, news)  # rows made in another way are not found again
    with pytest.raises(UserError, match=r"run\.yaml|command line.*unknown task 'newz': did you mean 'news'"):
        trained_of(load_run(tmp_path / "run.yaml", ["train.tasks.0.task=newz"]))


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("  news:", "  xnli:", "tasks.yaml:2: tasks.xnli: a task 'xnli' is in the catalog already"),
        ("classification", "clasification", "unknown value 'clasification': did you mean 'classification'?"),
        ("    texts: 1", "    text: 1", "tasks.yaml:6: tasks.news: unknown key 'text': did you mean 'texts'?"),
        ("[politics, sport]", "[sport, sport]", "tasks.yaml:5: tasks.news.labels: a label appears here twice"),
        ("news/{language}.tsv", "news/sw.tsv", "the file of each language is named by {language}"),
        ("news/{language}.tsv", "news/{lang}.tsv", "the file of each language is named by {language}"),
        ("[sw, quy]", "[Swahili]", "'Swahili' is no language code"),
        (*("    texts: 1", "    metric: acuracy", "tasks.yaml:6: tasks.news.metric: unknown metric 'acuracy': did you mean "),),
        (
            "    texts: 1",
            "    metric: squad",
            "tasks.yaml:6: tasks.news.metric: metric 'squad' scores span-qa, not classification",
        ),
        ("    head: mlm", "    metric: accuracy", "tasks.yaml:11: tasks.web.metric: a masked-lm task is trained, not scored"),
    ],
)
def test_a_users_mistake_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert TASKS.count(old) == 1
    (tmp_path / "tasks.yaml").write_text(TASKS.replace(old, new))
    with pytest.raises(UserError) as caught:
        task("news", tmp_path / "tasks.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


NER = """\
tasks:
  ner:
    family: tagging
    languages: [hau]
    labels: [O, B-GEO-LOC, I-GEO-LOC, B-POL-LOC, I-POL-LOC]
    files: {test: "ner/{language}.tsv"}
"""
POS = NER.replace("[O, B-GEO-LOC, I-GEO-LOC, B-POL-LOC, I-POL-LOC]", "[NOUN, VERB]")


def test_tagging_of_ones_own_is_scored_as_seqeval_scores_today(tmp_path: Path) -> None:
    (tmp_path / "tasks.yaml").write_text(NER)
    family = family_of(task("ner", tmp_path / "tasks.yaml"))
    examples = [Tagged(words=("a", "b"), tags=("B-GEO-LOC", "I-GEO-LOC"))]
    assert family.score([["B-POL-LOC", "I-POL-LOC"]], examples, "hau")["f1"] == 0
    official = NER.replace("    labels", "    metric: seqeval-0.0.12\n    labels")
    (tmp_path / "official.yaml").write_text(official)
    family = family_of(task("ner", tmp_path / "official.yaml"))
    assert family.score([["B-POL-LOC", "I-POL-LOC"]], examples, "hau")["f1"] == 100


def test_tags_without_spans_need_a_metric_for_them(tmp_path: Path) -> None:
    (tmp_path / "tasks.yaml").write_text(POS)
    with pytest.raises(UserError) as caught:
        task("ner", tmp_path / "tasks.yaml")
    assert str(caught.value) == (
        f"{tmp_path / 'tasks.yaml'}:2: tasks.ner.metric: metric 'seqeval-1.2.2': label 'NOUN' is neither O nor B- or I- and a "
        "type; where words have tags without spans: metric: accuracy"
    )
    (tmp_path / "pos.yaml").write_text(POS.replace("    labels", "    metric: accuracy\n    labels"))
    family = family_of(task("ner", tmp_path / "pos.yaml"))
    examples = [Tagged(words=("a", "b", "c"), tags=("NOUN", "VERB", "NOUN")), Tagged(words=("d",), tags=("VERB",))]
    assert family.score([["NOUN", "NOUN", "NOUN"], ["VERB"]], examples, "hau") == {"accuracy": 75.0}


def test_a_model_chosen_by_another_metric_is_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ner = NER.replace('test: "ner', 'train: "ner/train-{language}.tsv", dev: "ner')
    (tmp_path / "tasks.yaml").write_text(ner)
    (tmp_path / "same.yaml").write_text(ner.replace("    labels", "    metric: seqeval-1.2.2\n    labels"))
    (tmp_path / "other.yaml").write_text(ner.replace("    labels", "    metric: accuracy\n    labels"))
    select = "\n  select: {every: 1, languages: [hau]}"
    training = RUN[: RUN.index("  tasks: [{")] + "  tasks: [{task: ner, languages: [hau]}]\n  steps: 1"
    (tmp_path / "run.yaml").write_text(training + select)

    def digest_of(name: str, by: str) -> str:
        facts = Facts()
        run = load_run(tmp_path / "run.yaml", [f"data.tasks={tmp_path / name}.yaml", f"train.select.by={by}"])
        return identity(facts.resolved(run), "encoder", facts)

    digests = {(name, by): digest_of(name, by) for name in ("tasks", "same", "other") for by in ("score", "loss")}
    assert digests["tasks", "score"] == digests["same", "score"] != digests["other", "score"]
    assert digests["tasks", "loss"] == digests["other", "loss"]


# --- heads ---------------------------------------------------------------------------------------------------------------
def test_a_head_per_family_or_per_task() -> None:
    by_family = {
        name: sharing(task(name), "family").head for name in ("squad", "squad2", "tydiqa", "xquad", "siqa", "copa", "mlm")
    }
    assert by_family == dict.fromkeys(("squad", "squad2", "tydiqa", "xquad"), "span-qa") | {
        "siqa": "multiple-choice",
        "copa": "multiple-choice",
        "mlm": "masked-lm",
    }
    nli, pos = (sharing(task(name), "family").head for name in ("multinli", "udpos"))
    assert nli == sharing(task("xnli"), "family").head != sharing(task("qqp"), "family").head
    assert pos != sharing(task("panx"), "family").head
    by_task = {name: sharing(task(name), "task").head for name in ("multinli", "xnli", "xnli-pairs", "xquad", "siqa", "xcopa")}
    assert by_task == {
        "multinli": "multinli",
        "xnli": "xnli",
        "xnli-pairs": "xnli",
        "xquad": "squad",
        "siqa": "siqa",
        "xcopa": "copa",
    }
    assert sharing(task("xnli"), "family") is sharing(task("xnli"), "family")
    assert sharing(task("mewslix"), "task").head == sharing(task("mewslix-pairs"), "task").head == "mewslix"
