"""xdist cite: the papers of what runs used, from where tasks and methods name them."""

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from study_folder import described, gold

from xdist.appendix.bibliography import Paper, bibtex, named_in, of_encoder, papers
from xdist.appendix.cited import as_bibtex, cited_papers, of_method, of_task
from xdist.cli import main
from xdist.config import load_run
from xdist.config.method import METHODS
from xdist.tasks.catalog import TASKS

ROOT = Path(__file__).resolve().parents[2]
ENTRY = re.compile(r"@(inproceedings|article|misc)\{([\w-]+),\n(  [a-z]+ = \{.+\},\n)+\}")


def test_every_paper_that_the_catalog_or_a_method_names_is_known() -> None:
    unknown = [(one.name, key) for one in TASKS.ours().values() for key in of_task(one) if key.startswith("arxiv-")]
    unknown += [(name, key) for name in METHODS.ours() for key in of_method(name) if key.startswith("arxiv-")]
    assert unknown == []


def test_papers_have_numbers_and_words_of_their_own() -> None:
    numbers = [one.arxiv for one in papers().values() if one.arxiv]
    said = [words for one in papers().values() for words in (*one.said, *one.encoders)]
    assert len(set(numbers)) == len(numbers)
    assert len(set(said)) == len(said)


def test_what_is_from_memory_is_said_before_its_entry() -> None:
    known = papers()
    assert known["xnli"].unchecked == []
    assert known["glue"].unchecked == ["venue"]
    new = Paper(title="A title", authors=("Doe, Jo",), year=2026)
    text = as_bibtex({"xnli": (["task xnli"], known["xnli"]), "glue": (["task a"], known["glue"]), "new": (["b"], new)})
    first, second, third = text.split("\n\n")
    assert first.startswith("% task xnli\n@inproceedings{xnli,")
    assert second.startswith("% task a\n% from memory, compare it with the paper: venue\n@inproceedings{glue,")
    assert third.startswith("% b\n% from memory, compare it with the paper: title, authors, year\n@misc{new,")


@pytest.mark.parametrize("key", list(papers()))
def test_an_entry_is_bibtex(key: str) -> None:
    text = bibtex(key, papers()[key])
    assert ENTRY.fullmatch(text)
    assert text.count("{") == text.count("}")


def test_a_source_names_papers_by_number_and_by_words_in_its_order() -> None:
    assert list(named_in("WikiANN (Pan et al. 2017), splits of Rahimi et al. 2019 (arXiv 1902.00193)")) == [
        "wikiann",
        "wikiann-splits",
    ]
    assert named_in("New (arXiv 2999.12345)")["arxiv-2999.12345"].arxiv == "2999.12345"
    assert named_in("your own task") == {}


@pytest.mark.parametrize(
    "name, key", [("xlm-roberta-xl", "xlm-r-xl"), ("FacebookAI/xlm-roberta-base", "xlm-r"), ("mine", None)]
)
def test_an_encoder_is_known_by_the_longest_part_of_its_name(name: str, key: str | None) -> None:
    assert list(of_encoder(name)) == ([key] if key else [])


def test_a_run_cites_data_method_encoder_and_metric() -> None:
    run = load_run(ROOT / "jobs/runs/xtreme-r/panx.yaml", ["robust.method=free", "model.backbone=some_where/odd_name"])
    found = cited_papers([run])
    assert list(found) == [
        *("wikiann", "wikiann-splits", "xtreme-r", "freelb", "odd-name", "seqeval"),
        *("xdist", "zero", "pytorch", "transformers", "sentencepiece"),
    ]
    assert found["freelb"][0] == ["method free (its formula and what it differs from)"]
    assert r"some\_where/odd\_name" in bibtex("odd-name", found["odd-name"][1])


def test_a_study_cites_each_once_and_no_model_of_its_own(tmp_path: Path) -> None:
    path = described(tmp_path, gold(tmp_path / "data", size=4))
    done = CliRunner().invoke(main, ["cite", str(path)])
    keys = re.findall(r"^@\w+\{([\w-]+),$", done.stdout, re.M)
    assert keys[:2] == ["cldr", "encoder"]
    assert "pgd" in keys
    assert len(set(keys)) == len(keys)
    assert "model" not in keys


def test_it_writes_a_file_and_says_what_is_no_run_in_one_line(tmp_path: Path) -> None:
    run = str(ROOT / "jobs/runs/sib200.yaml")
    assert CliRunner().invoke(main, ["cite", run, "--out", str(tmp_path / "a.bib")]).exit_code == 0
    assert "@inproceedings{sib-200," in (tmp_path / "a.bib").read_text(encoding="utf-8")
    done = CliRunner().invoke(main, ["cite", str(tmp_path / "nothing")])
    assert (done.exit_code, done.stderr) == (2, f"xdist: {tmp_path / 'nothing'}: no such file\n")


def test_the_project_says_how_it_is_cited() -> None:
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(said)
    assert said["license"] == "Apache-2.0"
