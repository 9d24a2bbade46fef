"""Translate-train and translate-test: what is read of translated files, what is left out, and what stops to be zero-shot."""

import json
import random
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_families import paragraph, squad_file

from xdist.config import Model
from xdist.config.branches import Branches
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.evaluation.request import Request
from xdist.formats.examples import Classified, Tagged
from xdist.formats.tagging import WIKIANN_TAGS
from xdist.formats.translated import marked, read_marked
from xdist.model.lineage import PastTraining, TrainedTask
from xdist.resolve.branching import check_branches
from xdist.resolve.encoder import Encoder, check_subsets
from xdist.tasks.catalog import task

BUCKET = "xtreme_translations"
ROWS = (
    "It rains.\tIt is wet.\tEs regnet.\tEs ist nass.\tentailment",
    "He sleeps.\tHe runs.\tEr schläft.\tEr rennt.\tcontradiction",
    'She said "no".\tShe spoke.\tSie sagte "nein".\tSie sprach.\tentailment',
)


def written(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_five_columns_give_translated_and_bilingual_pairs(tmp_path: Path) -> None:
    written(tmp_path / BUCKET / "XNLI/translate-train/en-de-translated.tsv", *ROWS)
    assert list(task("xnli-translated").examples(tmp_path, "train", "de"))[1:] == [
        Classified(texts=("Er schläft.", "Er rennt."), label="contradiction"),
        Classified(texts=('Sie sagte "nein".', "Sie sprach."), label="entailment"),
    ]
    (first, *_) = task("xnli-bilingual").examples(tmp_path, "train", "de")
    assert first == Classified(texts=("It rains.", "Es ist nass."), label="entailment")


def test_rows_without_a_label_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / BUCKET / "PAWSX/translate-train/en-ko-translated.tsv"
    rows = [row.rsplit("\t", 1)[0] for row in ROWS]
    written(path, f"{rows[0]}\t1", rows[1], f"{rows[2]}\t0", f"{rows[0]}\tEs regnet nicht.", f"{rows[1]}\t0")
    assert [one.label for one in task("pawsx-translated").examples(tmp_path, "train", "ko")] == ["1", "0", "0"]
    written(path, *rows, f"{rows[0]}\t1")
    with pytest.raises(UserError, match=r"en-ko-translated.tsv:1: 3 of 4 lines cannot be read; expected five columns"):
        list(task("pawsx-translated").examples(tmp_path, "train", "ko"))


def test_answers_and_the_other_translation_of_multinli(tmp_path: Path) -> None:
    text = json.dumps(squad_file([paragraph(random.Random(2), 30, "p")]))
    written(tmp_path / BUCKET / "SQuAD/translate-train/squad.translate.train.en-sw.json", text)
    written(tmp_path / BUCKET / "TyDiQA-GoldP/translate-train/tydiqa.translate.train.en-te.json", text)
    written(tmp_path / BUCKET / "XQuAD/translate-test/xquad.translate.test.th-en.json", text)
    written(tmp_path / "XNLI-MT-1.0/multinli/multinli.train.ur.tsv", "premise\thypo\tlabel", "a\tb\tcontradictory")
    for name, split, code in (
        ("squad-translated", "train", "sw"),
        ("tydiqa-translated", "train", "te"),
        ("xquad-translate-test", "test", "th"),
    ):
        assert len(list(task(name).examples(tmp_path, split, code))) == 2
    assert list(task("xnli-mt").examples(tmp_path, "train", "ur")) == [Classified(texts=("a", "b"), label="contradiction")]


# --- tags carried over through markers ---------------------------------------------------------------------------------------
def test_tags_are_carried_over_through_markers(tmp_path: Path) -> None:
    english = Tagged(
        words=("President", "Samia", "Hassan", "of", "Tanzania", "."), tags=("O", "B-PER", "I-PER", "O", "B-LOC", "O")
    )
    assert marked(english) == "President <PER>Samia Hassan</PER> of <LOC>Tanzania</LOC> ."
    written(
        tmp_path / "panx/translate-train-sw.txt",
        "Rais wa <LOC>Tanzania</LOC>, <PER> Samia Hassan </PER>.",
        "Hakuna jina hapa",
        "<PER>Samia bila mwisho",
        "<PERSON>Samia</PERSON>",
        "<PER><LOC>Samia</LOC></PER>",
        "<LOC></LOC> tupu",
        "<LOC>Dodoma</LOC> <LOC>Dodoma</LOC>",
        "na <ORG>Simba SC</ORG>",
        "tena",
    )
    assert list(task("panx-translated").examples(tmp_path, "train", "sw")) == [
        Tagged(
            words=("Rais", "wa", "Tanzania", ",", "Samia", "Hassan", "."),
            tags=("O", "O", "B-LOC", "O", "B-PER", "I-PER", "O"),
        ),
        Tagged(words=("Hakuna", "jina", "hapa"), tags=("O", "O", "O")),
        Tagged(words=("Dodoma", "Dodoma"), tags=("B-LOC", "B-LOC")),
        Tagged(words=("na", "Simba", "SC"), tags=("O", "B-ORG", "I-ORG")),
        Tagged(words=("tena",), tags=("O",)),
    ]


def _well_formed(tags: list[str]) -> tuple[str, ...]:
    """Every span with a B- at its beginning."""
    found: list[str] = []
    for tag in tags:
        goes_on = found and found[-1] != "O" and found[-1][2:] == tag[2:]
        found.append(f"B-{tag[2:]}" if tag.startswith("I-") and not goes_on else tag)
    return tuple(found)


@given(st.lists(st.sampled_from(WIKIANN_TAGS), min_size=1))
def test_markers_come_back_as_the_tags_that_they_were_made_of(
    tmp_path_factory: pytest.TempPathFactory, tags: list[str]
) -> None:
    right = _well_formed(tags)
    sentence = Tagged(words=tuple(f"w{number}" for number in range(len(tags))), tags=right)
    path = written(tmp_path_factory.mktemp("marked") / "a.txt", marked(sentence))
    assert list(read_marked(path, tags=WIKIANN_TAGS)) == [sentence]


# --- not zero-shot -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "trained, scored",
    [
        ("xnli-translated", "xnli"),
        ("xnli-bilingual", "xnli"),
        ("xnli-mt", "xglue-xnli"),
        ("pawsx-translated", "pawsx"),
        ("squad-translated", "mlqa"),
        ("tydiqa-translated", "tydiqa"),
        ("panx-translated", "panx"),
    ],
)
def test_languages_seen_in_translation_are_not_zero_shot(trained: str, scored: str) -> None:
    entry, code = task(trained), "sw" if "sw" in task(trained).languages else "de"
    past = PastTraining(
        run="a",
        tasks=(TrainedTask(task=trained, head=entry.head, languages=(code,)),),
        description={"train": {"select": None}},
    )
    how = SimpleNamespace(lineage=(past,))
    seen = {code, "en"} if trained.endswith("bilingual") else {code}
    assert set(Request.seen(how, task(scored))) == seen  # type: ignore[arg-type]
    assert task(scored).labels == entry.labels


def test_pairs_of_languages_that_were_trained_on_are_not_zero_shot() -> None:
    past = PastTraining(
        run="a",
        tasks=(TrainedTask(task="xnli", head="xnli", languages=("eng", "de")),),
        description={"train": {"select": {"languages": ["sw", "en"]}}},
    )
    how = SimpleNamespace(lineage=(past,))
    assert set(Request.seen(how, task("xnli-pairs"))) == {"en-en", "en-de", "de-en", "de-de"}  # type: ignore[arg-type]
    chosen = Request.selected_on(how, task("xnli-pairs"))  # type: ignore[arg-type]
    assert set(chosen) == {"sw-sw", "sw-en", "en-sw", "sw-de", "de-sw"}


@pytest.mark.parametrize(
    ("name", "code", "written", "mixes"),
    [
        ("xnli-translated", "de", ("de",), False),
        ("xnli-bilingual", "de", ("en", "de"), True),
        ("xquad-translate-test", "de", ("en",), False),
        ("xnli-pairs", "de-sw", ("de", "sw"), True),
        ("xnli-pairs", "de-de", ("de",), False),
        ("tlm", "sw", ("sw", "en"), True),
        ("ntrex-tlm", "sw", ("sw", "en"), True),
        ("mlm", "sw", ("sw",), False),
        ("parallel", "sw", ("sw", "en"), True),
        ("sib200-parallel", "swh_Latn", ("swh_Latn", "en"), True),
        ("tatoeba", "sw", ("sw", "en"), False),  # each sentence is a row
        ("bucc2018", "de", ("de", "en"), False),
    ],
)
def test_the_languages_that_texts_of_a_code_are_written_in(name: str, code: str, written: tuple[str, ...], mixes: bool) -> None:
    """What reads a language's text alone takes no row of two, and takes English for English."""
    entry = task(name)
    assert (entry.written_in(code), entry.mixes(code)) == (written, mixes)
    assert Subset(entry, "train", code).read_as == (code if mixes else written[0])
    every = ("de", "en", "sw")
    encoder = Encoder("e", "xlm-roberta", 4, 100, 512, frozenset(every), {})
    section = Model(backbone="e", branches=Branches(layers=1, languages=every))
    trained = [Subset(entry, "train", code), *(Subset(task("mlm"), "train", one) for one in every)]
    with pytest.raises(UserError, match="holds two languages in a row") if mixes else nullcontext():
        check_branches(section, encoder, trained)
    with pytest.raises(UserError, match="may have two") if mixes else nullcontext():
        check_subsets(encoder, trained)
