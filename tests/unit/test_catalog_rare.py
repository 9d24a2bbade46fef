"""The sets of many languages: each entry reads files in exactly their published form, here made in two of its languages, and
its copy on the hub; the real ones that are at hand are counted."""

import json
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pages import ROOT

from xdist.cli import main
from xdist.errors import UserError
from xdist.formats.examples import Choice, Classified, Sentence, Tagged
from xdist.languages import find_language
from xdist.metrics import metric
from xdist.tasks.catalog import TASKS, task
from xdist.tasks.catalog.shipped import PLACE, shipped_tasks
from xdist.tasks.check import check_split, files_there

NAMES = [one.name for one in shipped_tasks()]
SIZES = {
    "sib200": 205,
    "flores200": 203,
    "belebele": 122,
    "afrixnli": 18,
    "masakhaner": 10,
    "masakhaner2": 20,
    "masakhapos": 20,
}
SIZES |= {"masakhanews": 16, "afrisenti": 14, "nusax": 12, "wikiann": 176, "bible-verses": 822}
SIBLINGS = ("ntrex", *NAMES)

TOPIC = 'index_id\tcategory\ttext\n7\tscience/technology\tÀwọn "olùwádìí" sọ.\n9\ttravel\tÓ dára.\n'
BELEBELE = {
    "link": "https://en.wikibooks.org/wiki/x",
    "question_number": 1,
    "flores_passage": "A passage.",
    "question": "Which one?",
    **{f"mc_answer{n}": f"answer {n}" for n in range(1, 5)},
    "correct_answer_num": "3",
    "dialect": "yor_Latn",
    "ds": "2023-05-03",
}
NLI = 'premise\thypothesis\tlabel\nA man "sleeps".\tHe is awake.\t2\nOne.\tTwo.\t0\n'
NER = 'Di B-ORG\nJazzhole I-ORG\n90s B-DATE\n. O\n\n"""" O\nTejuoso B-PER\n'
POS = "An AUX\ndai PART\n. PUNCT\n\nTokyo PROPN\n"
# A cell with a quote in it is quoted, and may run over lines; two cells are empty.
NEWS = 'category\theadline\ttext\turl\nsports\t"IChippa United. \n    Ezingenayo ngale ""ntsasa"""\t\t\nhealth\tUne\tdeux\thttp://x\n'
TWEETS = 'tweet\tlabel\nah ka s3 "prison" mpo er\tpositive\nslim things 🤩\tneutral\n'
NUSA = 'id,text,label\n237,"Meunyo na soalan, laen ""lom""",neutral\n166,Restoran baali,positive\n'
WIKI = "en:Di\tB-ORG\nen:R.H.\tI-ORG\nen::\tO\n\nen:Lagos\tB-LOC\n"


def sides(first: list[str], second: list[str]) -> list[tuple[str, Sentence]]:
    return [("foreign", Sentence(id=str(n), text=text)) for n, text in enumerate(first)] + [
        ("english", Sentence(id=str(n), text=text, gold=str(n))) for n, text in enumerate(second)
    ]


MARKED = [
    Tagged(words=("Di", "Jazzhole", "90s", "."), tags=("B-ORG", "I-ORG", "B-DATE", "O")),
    Tagged(words=('""""', "Tejuoso"), tags=("O", "B-PER")),
]
TWO_WAYS = sides(["Ọ̀kan.", "Méjì."], ["One.", "Two."])
# task, languages, split, by file its content ({code} as the file is named), what is read
PUBLISHED: list[tuple[str, tuple[str, str], str, dict[str, str], list[Any]]] = [
    (
        *("sib200", ("yor_Latn", "nqo_Nkoo"), "train", {"sib200/{code}/train.tsv": TOPIC}),
        [
            Classified(texts=('Àwọn "olùwádìí" sọ.',), label="science/technology"),
            Classified(texts=("Ó dára.",), label="travel"),
        ],
    ),
    (
        *("flores200", ("yor_Latn", "sat_Olck"), "test"),
        {
            "flores200_dataset/devtest/{code}.devtest": "Ọ̀kan.\nMéjì.\n",
            "flores200_dataset/devtest/eng_Latn.devtest": "One.\nTwo.\n",
        },
        TWO_WAYS,
    ),
    (
        *("ntrex", ("yo", "zho-TW"), "test"),
        {
            "ntrex/NTREX-128/newstest2019-ref.{code}.txt": "Ọ̀kan.\r\nMéjì.\r\n",
            "ntrex/NTREX-128/newstest2019-src.eng.txt": "One.\r\nTwo.\r\n",
        },
        TWO_WAYS,
    ),
    (
        *("bible-verses", ("aai", "zyp"), "test"),
        {
            "ebible/{code}.txt": "\nỌ̀kan.\njoined\n<range>\n<range>\nMéjì.\nalone\n",
            "ebible/eng.txt": "missing there\nOne.\na\nb\nc\nTwo.\n\n",
        },
        TWO_WAYS,
    ),
    (
        *("belebele", ("yor_Latn", "ben_Latn"), "test", {"Belebele/{code}.jsonl": json.dumps(BELEBELE) + "\n"}),
        [Choice(prompt="A passage. Which one?", options=tuple(f"answer {n}" for n in range(1, 5)), label=2)],
    ),
    (
        *("afrixnli", ("yor", "twi"), "test", {"afrixnli/data/{code}/test.tsv": NLI}),
        [
            Classified(texts=('A man "sleeps".', "He is awake."), label="contradiction"),
            Classified(texts=("One.", "Two."), label="entailment"),
        ],
    ),
    ("masakhaner", ("pcm", "amh"), "dev", {"masakhane-ner/data/{code}/dev.txt": NER}, MARKED),
    ("masakhaner2", ("bbj", "zul"), "train", {"masakhane-ner/MasakhaNER2.0/data/{code}/train.txt": NER}, MARKED),
    (
        *("masakhapos", ("hau", "bam"), "test", {"masakhane-pos/data/{code}/test.txt": POS}),
        [Tagged(words=("An", "dai", "."), tags=("AUX", "PART", "PUNCT")), Tagged(words=("Tokyo",), tags=("PROPN",))],
    ),
    (
        *("masakhanews", ("xho", "lug"), "dev", {"masakhane-news/data/{code}/dev.tsv": NEWS}),
        [
            Classified(texts=('IChippa United. \n    Ezingenayo ngale "ntsasa" ',), label="sports"),
            Classified(texts=("Une deux",), label="health"),
        ],
    ),
    (
        *("afrisenti", ("twi", "orm"), "test", {"afrisenti/data/{code}/test.tsv": TWEETS}),
        [
            Classified(texts=('ah ka s3 "prison" mpo er',), label="positive"),
            Classified(texts=("slim things 🤩",), label="neutral"),
        ],
    ),
    (
        *("nusax", ("ace", "bbc"), "dev", {"nusax/datasets/sentiment/{code}/valid.csv": NUSA}),
        [
            Classified(texts=('Meunyo na soalan, laen "lom"',), label="neutral"),
            Classified(texts=("Restoran baali",), label="positive"),
        ],
    ),
    (
        *("wikiann", ("en", "gsw"), "test", {"wikiann/{code}/test": WIKI}),
        [Tagged(words=("Di", "R.H.", ":"), tags=("B-ORG", "I-ORG", "O")), Tagged(words=("Lagos",), tags=("B-LOC",))],
    ),
]


def test_no_entry_is_left_out() -> None:
    assert {name: len(task(name).languages) for name in NAMES} == SIZES
    assert {name for name, *_ in PUBLISHED} == set(SIBLINGS)
    assert {name for name, *_ in HUB} == {name for name in SIBLINGS if task(name).hub}


@pytest.mark.parametrize("name, codes, split, files, expected", PUBLISHED, ids=[one[0] for one in PUBLISHED])
def test_files_as_published(
    name: str, codes: tuple[str, str], split: str, files: dict[str, str], expected: list[Any], tmp_path: Path
) -> None:
    entry = task(name)
    for code in codes:
        for pattern, content in files.items():
            path = tmp_path / pattern.format(code=entry.names.get(code, code))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode())
        assert list(entry.examples(tmp_path, split, code)) == expected
    assert [code for _, of, code in files_there(tmp_path, [entry]) if of == split] == [c for c in entry.languages if c in codes]


# --- copies on the hub ---------------------------------------------------------------------------------------------------
WORDS = {"tokens": [["Di", "Lagos"]], "ner_tags": [[3, 5]]}
TEXTS = sides(["Ọ̀kan."], ["One."])
# task, language, its folder and file, columns, what is read
HUB: list[tuple[str, str, str, dict[str, list[Any]], list[Any]]] = [
    (
        *("sib200", "yor_Latn", "yor_Latn/test", {"index_id": [1], "category": ["travel"], "text": ["Ó dára."]}),
        [Classified(texts=("Ó dára.",), label="travel")],
    ),
    ("flores200", "yor_Latn", "data/devtest", {"eng_Latn": ["One."], "yor_Latn": ["Ọ̀kan."]}, TEXTS),
    ("ntrex", "zh", "data/test", {"zho_Hans": ["Ọ̀kan."], "eng_Latn": ["One."]}, TEXTS),
    ("bible-verses", "aai", "eng-aai/test", {"eng": ["One."], "aai": ["Ọ̀kan."]}, TEXTS),
    (
        *("belebele", "yor_Latn", "yor_Latn/test", {key: [value] for key, value in BELEBELE.items()}),
        [Choice(prompt="A passage. Which one?", options=tuple(f"answer {n}" for n in range(1, 5)), label=2)],
    ),
    (
        *("afrixnli", "yor", "yor/test", {"premise": ["A"], "hypothesis": ["B"], "label": [1]}),
        [Classified(texts=("A", "B"), label="neutral")],
    ),
    (
        *("masakhanews", "xho", "xho/test", {"category": ["sports"], "headline": ["Une"], "text": ["deux"]}),
        [Classified(texts=("Une deux",), label="sports")],
    ),
    (
        *("afrisenti", "twi", "twi/test", {"tweet": ["ah"], "label": [2]}),
        [Classified(texts=("ah",), label="negative")],
    ),
    ("nusax", "bbc", "bbc/test", {"text": ["a"], "label": [2]}, [Classified(texts=("a",), label="positive")]),
    ("wikiann", "gsw", "als/test", WORDS, [Tagged(words=("Di", "Lagos"), tags=("B-ORG", "B-LOC"))]),
]


@pytest.mark.parametrize("name, code, file, columns, expected", HUB, ids=[one[0] for one in HUB])
def test_copies_of_the_hub(
    name: str, code: str, file: str, columns: dict[str, list[Any]], expected: list[Any], tmp_path: Path
) -> None:
    entry = task(name)
    assert entry.hub
    assert not entry.hub.checked
    path = tmp_path / "hub" / entry.hub.id / f"{file}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns), path)
    assert list(entry.examples(tmp_path, "test", code)) == expected


# --- what an entry says --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", SIBLINGS)
def test_every_entry_is_complete(name: str) -> None:
    entry = task(name)
    assert [code for code in entry.languages if not find_language(code)] == []
    assert len(set(entry.languages)) == len(entry.languages)
    assert entry.licence
    assert entry.source.count("20")
    for split, counts in entry.counts.items():
        assert split in entry.files
        assert isinstance(counts, int) or set(counts) <= set(entry.languages)
    for other in entry.trained_on:
        assert (task(other).head, task(other).family, task(other).labels) == (entry.head, entry.family, entry.labels)
        assert "train" in task(other).files
    assert metric(entry.metric).headline
    assert "train" not in entry.files or set(entry.train_languages) <= set(entry.languages)


def test_an_entry_is_short() -> None:
    lines = PLACE.read_text(encoding="utf-8").split("\ntasks:\n")[1].splitlines()
    heads = [number for number, line in enumerate(lines) if line[:2] == "  " and line[2] != " "]
    lengths = {lines[at].strip().partition(":")[0]: end - at for at, end in zip(heads, [*heads[1:], len(lines)], strict=True)}
    assert set(lengths) == set(NAMES)
    counted = {"masakhaner2"}  # in each of twenty languages
    assert {name for name, length in lengths.items() if length > 21} <= counted


def test_wrong_labels_are_a_line_with_file_and_row(tmp_path: Path) -> None:
    path = tmp_path / "nusax/datasets/sentiment/acehnese/test.csv"
    path.parent.mkdir(parents=True)
    path.write_text("id,text,label\n1,a,good\n")
    with pytest.raises(UserError, match=f"^{path}:2: unknown label 'good'"):
        list(task("nusax").examples(tmp_path, "test", "ace"))


@pytest.mark.parametrize(
    "name, file", [("afrisenti", "afrisenti/data/hau/{}.tsv"), ("nusax", "nusax/datasets/sentiment/english/{}.csv")]
)
def test_a_test_file_may_hold_no_gold(name: str, file: str, tmp_path: Path) -> None:
    entry, code = task(name), "hau" if name == "afrisenti" else "eng"
    for split in ("train", "test"):
        path = tmp_path / file.format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("tweet\nah\n" if name == "afrisenti" else "id,text\n1,ah\n")
    assert list(entry.examples(tmp_path, "test", code)) == [Classified(texts=("ah",))]
    with pytest.raises(UserError, match=r"train\.(tsv|csv):2: "):
        list(entry.examples(tmp_path, "train", code))


def test_what_was_never_read_is_marked() -> None:
    assert [name for name in SIBLINGS if task(name).checked] == ["ntrex", "sib200"]
    listed = json.loads(CliRunner().invoke(main, ["tasks", "--json"]).output)["tasks"]
    marked = [one["name"] for one in listed if one["unchecked"] == "form unchecked"]
    assert marked == [name for name in SIBLINGS if not task(name).checked]
    shown = CliRunner().invoke(main, ["tasks", "show", "belebele"]).output
    assert "\nform unchecked: described from documentation, not compared with a published file\n" in shown
    assert "\nhas some of the same sentences (FLORES-200): sib200, flores200, sib200-parallel\n" in shown


def test_the_page_is_that_of_the_catalog() -> None:
    spec = spec_from_file_location("make_rare_languages", ROOT / "docs/make_rare_languages.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (ROOT / "docs/how-to/rare-languages.md").read_text(encoding="utf-8")
    assert text == module.page(), "run: python docs/make_rare_languages.py"


def test_heads_are_those_of_what_they_are_trained_on() -> None:
    heads = {"afrixnli": "xnli", "belebele": "choice", "masakhapos": "udpos", "wikiann": "panx", "masakhaner2": "masakhaner"}
    assert {name: task(name).head for name in heads} == heads
    assert TASKS.get("wikiann").labels == TASKS.get("panx").labels


# --- real files ----------------------------------------------------------------------------------------------------------
def test_real_files_are_counted(shared_data: Path) -> None:
    there = files_there(shared_data, [task("ntrex"), task("sib200")])
    assert Counter(f"{entry.name} {split}" for entry, split, _ in there) == {
        "ntrex test": 9,
        "sib200 train": 50,
        "sib200 dev": 50,
        "sib200 test": 102,
    }
    for entry, split, code in there:
        found_there = check_split(entry, shared_data, split, code)
        if entry.name == "ntrex":
            assert (found_there.count, found_there.official, found_there.remark) == (400, 1_997, "a part")
        else:
            assert (found_there.count, found_there.remark) == (found_there.official, "")
