"""The presets of jobs/runs/xglue are its baseline's recipe; a model that all dev languages chose is not called zero-shot."""

import json
from pathlib import Path
from typing import Any

import pytest
from resolved_of import trained_of
from tiny_xglue import SOME, tiny_xglue

from xdist.config import load_run, load_study
from xdist.evaluation.scores import Scores, summarise_task
from xdist.files import shipped
from xdist.metrics import metric
from xdist.model.lineage import languages_chosen_in, languages_of, stage_of
from xdist.report.reading import read_scores
from xdist.report.scores import ZERO_SHOT
from xdist.resolve.subsets import Subsets
from xdist.run.recorded import recorded_scores
from xdist.study import Facts, expand
from xdist.tasks.catalog import task
from xdist.tasks.catalog.xglue import UNDERSTANDING, UNIQUE

FOLDER = shipped("jobs") / "runs" / "xglue"
# batch, rate, epochs, length
RECIPES = {
    **dict.fromkeys(("xnli", "pawsx", "nc", "qadsm", "wpr", "qam"), (32, 5e-6, 10, 256)),
    "ner": (32, 5e-6, 20, 256),
    "pos": (32, 2e-5, 20, 128),
    "mlqa": (12, 3e-5, 2, 384),
}


@pytest.mark.parametrize("name", RECIPES)
def test_xglue_recipes_are_the_official_ones(name: str) -> None:
    run, entry = load_run(FOLDER / f"{name}.yaml"), task(f"xglue-{name}")
    train = run.train
    assert train
    assert run.evaluate
    assert train.select
    assert (train.batch_size, train.learning_rate, train.epochs, entry.max_length) == RECIPES[name]
    assert (train.epsilon, train.weight_decay, train.warmup, train.clip, run.seed) == (1e-8, 0, 0, 1.0, 42)
    assert (run.model.backbone, run.evaluate.tasks, run.name) == ("xlm-roberta-base", (entry.name,), entry.name)
    assert [str(subset) for subset in trained_of(run)] == [f"{entry.name} train en"]
    # Once an epoch; answers are windows, of which there are some more than questions.
    rows = 88_524 if name == "mlqa" else entry.count("train", "en") or 0
    assert train.select.every == pytest.approx(rows / train.batch_size, rel=0.005)
    chosen = [subset.language for subset in Subsets(run).selection]
    assert sorted(chosen) == (["en"] if name == "qam" else sorted(entry.languages))


def test_xglue_recipes_are_all_there() -> None:
    assert {f"xglue-{path.stem}" for path in FOLDER.glob("*.yaml")} == set(UNDERSTANDING)


def test_xglue_study_chooses_on_english() -> None:
    graph = expand(load_study(shipped("jobs") / "studies" / "xglue.yaml"), Facts())
    assert len(graph.points) == (3 * 5 - 2) * 9 * 3
    trained = [node.run.train for node in graph.nodes.values() if node.run.train and node.stage == "target"]
    assert {train.select.languages for train in trained if train.select} == {("en",)}


def test_xglue_a_model_that_all_languages_chose_is_not_zero_shot(tmp_path: Path) -> None:
    root = tiny_xglue(tmp_path)
    entry = task("xglue-nc")
    for languages, chosen in (("all", set(entry.languages)), ("[en]", {"en"}), ("[en,ru]", {"en", "ru"})):
        run = load_run(FOLDER / "nc.yaml", [f"data.root={root}", f"train.select.languages={languages}"])
        lineage = (stage_of("a", run.dump(), [(entry, "en")]),)
        assert languages_chosen_in(lineage, entry) == chosen
        assert languages_of(lineage, entry) == {"en"}
        assert languages_chosen_in(lineage, task("xglue-qam")) == set()
    path = tmp_path / "scores.json"
    for selected in (["de", "ru"], []):
        Scores(path, "a").add(entry, "test", ["en"], {"de": {"accuracy": 50.0, "count": 1}}, selected_on=selected)
        assert json.loads(path.read_text())["tasks"]["xglue-nc"].get("selected_on", []) == selected
        assert recorded_scores(path)["tasks"]["xglue-nc"]["trained_on"] == ["en"]
    assert set(SOME["xglue-nc"]) < set(entry.languages)


def test_all_are_the_languages_of_what_is_trained() -> None:
    """Not those of a task that is scored with the head alone: its dev sets chose nothing."""
    run = load_run(FOLDER / "xnli.yaml", ["train.tasks=[{task: xnli}]", "evaluate.tasks=[xnli]"])
    lineage = (stage_of("a", run.dump(), [(task("xnli"), "en")]),)
    chosen = set(task("xnli").languages)
    assert len(chosen) == 15
    for name in ("xnli", "americasnli", "afrixnli", "xnli-pairs"):
        assert languages_chosen_in(lineage, task(name)) == chosen
    run = load_run(FOLDER / "xnli.yaml", ["train.tasks=[{task: xnli}]", "train.select.languages=[eng_Latn]"])
    lineage = (stage_of("a", run.dump(), [(task("xnli"), "en")]),)
    assert languages_chosen_in(lineage, task("americasnli")) == {"en"}


def test_xglue_in_a_report(tmp_path: Path) -> None:
    """What chose the model, how answers were cut and the means are under the table; chosen languages are not zero-shot."""
    entries: dict[str, Any] = {}
    for name in UNIQUE:
        entry, headline = task(name), metric(task(name).metric).headline
        numbers = {code: {headline: 60.0 + place, "count": 9} for place, code in enumerate(entry.languages)}
        entries[name] = summarise_task(entry, "test", ["en"], numbers)
    entries["xglue-nc"]["selected_on"] = ["de", "es", "fr"]
    answers = task("xglue-mlqa")
    numbers = {code: {"f1": 50.0, "exact_match": 20.0, "count": 9} for code in ("en", "de")}
    options = {"model": "a", "options": {"evaluate.answers": "official"}, "pieces": {}}
    entries["xglue-mlqa"] = summarise_task(answers, "test", ["en"], numbers) | {"made_of": options}
    (tmp_path / "scores.json").write_text(json.dumps({"run": "a", "tasks": entries}))
    found = read_scores([tmp_path])
    nc = next(column for column in found.columns if column.task == "xglue-nc")
    zero_shot = nc.summary[ZERO_SHOT]
    assert zero_shot is not None
    assert (zero_shot.languages, zero_shot.score) == (1, 64.0)  # ru alone
    assert found.remarks[-3:] == [
        "xglue-nc: the model was chosen by the dev sets of de, es, fr too: they are not zero-shot",
        "xglue-mlqa: answers were cut at words, as the public recipes do (evaluate.answers: official)",
        "XGLUE, test: understanding 4 of 9, unique 61.75",
    ]
