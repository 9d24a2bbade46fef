"""Which languages of its tasks a run scores, by the codes, pairs and groups that it names, and the files that are there."""

from dataclasses import replace
from pathlib import Path

import pytest
from resolved_of import scored_of, trained_of
from tiny_families import tiny_families

from xdist.config import load_run
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.languages import language, pair_of
from xdist.tasks.catalog import TASKS, task
from xdist.tasks.catalog.classification import generalized

ROOT = Path(__file__).resolve().parents[2] / "jobs" / "runs" / "xtreme-r"


def test_no_code_of_a_task_is_taken_for_a_pair() -> None:
    for one in TASKS.ours().values():
        assert all(bool(pair_of(code)) == bool(one.pairs_of) for code in one.languages), one.name
        assert all(one.parts(code) == (pair_of(code) or (code,)) for code in one.languages), one.name


def test_pairs_keep_what_their_task_is() -> None:
    base = replace(task("xglue-xnli"), name="mine", languages=("sr", "sr-Latn"), shares="some-sentences")
    made = generalized(base, "mine in two languages")
    assert made.languages == ("sr-sr", "sr-sr-Latn", "sr-Latn-sr", "sr-Latn-sr-Latn")
    assert [made.parts(code) for code in made.languages] == [(a, b) for a in base.languages for b in base.languages]
    assert (made.max_length, made.shares, made.head, made.labels) == (256, "some-sentences", base.head, base.labels)
    assert (made.hub, "train" in made.files) == (None, False)
    assert [Subset(made, "test", code).read_as for code in made.languages] == ["sr", "sr-sr-Latn", "sr-Latn-sr", "sr-Latn"]


def test_languages_of_pairs(tmp_path: Path) -> None:
    root = tiny_families(tmp_path)
    both = ["evaluate.tasks=[xnli,xnli-pairs]", f"data.root={root}"]
    run = load_run(ROOT / "xnli.yaml", [*both, "evaluate.languages=[en,sw,de-en]"])
    found = sorted(str(subset) for subset in scored_of(run))
    assert found == sorted(
        [*(f"xnli test {code}" for code in ("en", "sw"))]
        + [f"xnli-pairs test {pair}" for pair in ("de-en", "en-en", "en-sw", "sw-en", "sw-sw")]
    )
    assert len(scored_of(load_run(ROOT / "xnli.yaml", both))) == 3 + 9
    run = load_run(ROOT / "xnli.yaml", [*both, "evaluate.languages=[en,xx]"])
    with pytest.raises(UserError, match="unknown language 'xx'"):
        scored_of(run)


@pytest.mark.parametrize("languages", ["[deu,eng_Latn]", "[de,en]", "[deu,group:high]"])
def test_pairs_are_named_by_the_codes_of_their_task_in_any_spelling_and_by_groups(tmp_path: Path, languages: str) -> None:
    def scored(tasks: str, languages: str) -> set[str]:
        options = [f"data.root={tiny_families(tmp_path)}", "model.pretraining=cc100", f"evaluate.tasks=[{tasks}]"]
        return {
            str(subset) for subset in scored_of(load_run(ROOT / "xnli.yaml", [*options, f"evaluate.languages={languages}"]))
        }

    pairs = {f"xnli-pairs test {pair}" for pair in ("de-de", "de-en", "en-de", "en-en")}
    assert scored("xnli-pairs", languages) == pairs
    assert scored("xnli,xnli-pairs", languages) == pairs | {"xnli test de", "xnli test en"}
    assert scored("xnli-pairs", "[group:low]") == {"xnli-pairs test sw-sw"}
    with pytest.raises(UserError, match=r"no language of xnli-pairs is unknown"):
        scored("xnli-pairs", "[group:unknown]")


def test_a_language_that_no_scored_task_has_is_a_line(tmp_path: Path) -> None:
    run = [f"data.root={tmp_path}", "evaluate.tasks=[tatoeba]"]
    for code in ("yo", "yor"):
        with pytest.raises(UserError, match=rf"evaluate.languages: task 'tatoeba': unknown language '{code}': "):
            scored_of(load_run(ROOT / "xnli.yaml", [*run, f"evaluate.languages=[{code}]"]))
    both = load_run(ROOT / "xnli.yaml", [*run, "evaluate.languages=[de,yo]"])  # one of the fifty, and something is scored
    assert [str(subset) for subset in scored_of(both)] == ["tatoeba test de"]
    with pytest.raises(UserError, match="unknown language 'nyn'"):
        scored_of(load_run(ROOT / "xnli.yaml", [*run, "evaluate.languages=[de,nyn]"]))


def test_a_translated_task_is_scored_in_the_languages_whose_files_are_there(tmp_path: Path) -> None:
    def scored(*tasks: str) -> list[str]:
        options = [f"evaluate.tasks=[{','.join(tasks)}]", "evaluate.split=dev", "evaluate.languages=[sw,en]"]
        run = load_run(ROOT / "xnli.yaml", [*options, f"data.root={tmp_path}"])
        return sorted(str(subset) for subset in scored_of(run))

    assert scored("rte") == ["rte dev en", "rte dev sw"]  # its file must be there: no other task has that language
    assert scored("rte", "xnli") == ["rte dev en", "xnli dev en", "xnli dev sw"]
    (tmp_path / "RTE").mkdir()
    (tmp_path / "RTE/dev-sw.tsv").touch()
    assert scored("rte", "xnli") == ["rte dev en", "rte dev sw", "xnli dev en", "xnli dev sw"]


def test_languages_by_any_code(tmp_path: Path) -> None:
    """A user of FLORES's codes names the files of tasks that have others."""
    tiny_families(tmp_path)
    described = tmp_path / "run.yaml"
    described.write_text(
        f"name: any\nfolder: {tmp_path}/any\nmodel: {{backbone: x}}\ndata: {{root: {tmp_path}}}\n"
        "train: {tasks: [{task: xnli, languages: [eng_Latn]}], steps: 1}\n"
        "evaluate: {tasks: [xnli, xquad, mlqa], languages: [swh_Latn, deu, en]}\n",
        encoding="utf-8",
    )
    run = load_run(described)
    assert [str(subset) for subset in trained_of(run)] == ["xnli train en"]
    assert sorted(str(subset) for subset in scored_of(run)) == [
        *("mlqa test de", "mlqa test en", "xnli test de", "xnli test en", "xnli test sw", "xquad test de", "xquad test en"),
    ]
    with pytest.raises(UserError, match=r"evaluate.languages: tasks 'xnli', 'xquad', 'mlqa': unknown language 'hau_Latn'"):
        scored_of(load_run(described, ["evaluate.languages=[hau_Latn]"]))


def test_files_of_any_language_are_found_under_any_code_in_their_names(tmp_path: Path) -> None:
    folder = "xtreme_translations/XNLI/translate-train"
    names = ("mlm/swh_Latn.txt.gz", "tlm/kin_Latn-en.tsv", f"{folder}/en-deu-translated.tsv", "RTE/dev-sr_Cyrl.tsv")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    asked = (("mlm", "train", "sw"), ("tlm", "train", "kin"), ("xnli-translated", "train", "de"), ("rte", "dev", "srp"))
    for (name, split, code), file in zip(asked, names, strict=True):
        assert task(name).paths(tmp_path, split, code) == (tmp_path / file,)
        assert task(name).is_there(tmp_path, split, code)
        assert not task(name).is_there(tmp_path, split, "yo")
    (tmp_path / "mlm/sw.txt").touch()
    assert task("mlm").paths(tmp_path, "train", "sw") == (tmp_path / "mlm/sw.txt",)


def test_what_was_trained_in_another_set_s_code_is_no_zero_shot_language() -> None:
    assert [task("xnli").own(code) for code in ("eng_Latn", "swa", "zho_Hans", "yor_Latn")] == ["en", "sw", "zh", "yor_Latn"]
    assert task("bucc2018").own("deu_Latn") == "de"


def test_a_code_for_several_languages_names_the_one_that_the_files_are_in() -> None:
    assert [task("xcopa").own(code) for code in ("qu", "que_Latn", "qve", "qve_Latn", "quy", "cmn_Hans")] == [
        *["qu"] * 4,
        "quy",  # another Quechua
        "zh",
    ]
    assert all(language(member) for one in TASKS.ours().values() for member in one.members.values())
