"""Every study that is shipped expands, and every run of it is valid."""

import runpy
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from registered import forgetting

from xdist.config import load_run, load_study
from xdist.data.subset import Subset
from xdist.data.trees import Trees
from xdist.files import shipped
from xdist.formats.classification import untranslated
from xdist.metrics.significance import Interval, VariancePart
from xdist.study import Facts, Graph, expand
from xdist.study.budget import budget
from xdist.study.conditions import conditions_of
from xdist.study.published import published_figures
from xdist.study.state import Standing
from xdist.tasks.catalog import task

STUDIES = sorted((shipped("jobs") / "studies").glob("*.yaml"))
RUN = {"name": "a", "folder": "b", "model": {"backbone": "x"}, "data": {"root": "y"}, "evaluate": {"tasks": ["xnli"]}}


@pytest.fixture(autouse=True, scope="module")
def own_plugins_alone() -> Iterator[None]:
    """A study may have a plugin, whose tasks are no other test's."""
    with forgetting():
        yield


@cache
def expanded(path: Path, *overrides: str) -> Graph:
    return expand(load_study(path, overrides), Facts())


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_run_of_every_study_is_valid(path: Path, tmp_path: Path) -> None:
    graph = expanded(path)
    assert graph.study.name == path.stem
    for node in graph.nodes.values():
        description = tmp_path / "run.yaml"
        description.write_text(yaml.dump(node.run.dump(), Dumper=yaml.CSafeDumper))
        assert load_run(description).dump() == node.run.dump()


def test_the_studies_are_there() -> None:
    assert {path.stem for path in STUDIES} >= {"demo", "robust-pawsx", "xtreme-r"}


def test_demo_shares_its_intermediate_models() -> None:
    graph = expanded(shipped("jobs") / "studies" / "demo.yaml")
    assert Counter(node.stage for node in graph.nodes.values()) == {"intermediate": 4, "target": 12}
    assert {node.run.train.steps for node in graph.nodes.values() if node.run.train} == {28, 36}


def test_xtreme_r_is_the_full_matrix() -> None:
    graph = expanded(shipped("jobs") / "studies" / "xtreme-r.yaml")
    assert len(graph.points) == 600 * 2
    copa = next(
        point for point in graph.points if point.values == {**point.values, "target": "copa", "intermediate": "english"}
    )
    assert list(copa.stages) == ["intermediate", "choice", "target"]
    for node in graph.nodes.values():
        assert node.upstream or node.run.model.backbone in ("xlm-roberta-large", "xlm-roberta-base")
    before = {node.upstream for node in graph.nodes.values()}
    assert {node.run.runtime.keep_finished for node in graph.nodes.values()} == {"model"}
    costs = budget(graph, dict.fromkeys(graph.nodes, Standing("waiting", 0, None)), None)
    assert costs.disk + costs.at_work < 2.5e12
    assert costs.least + costs.at_work < 0.5e12
    assert costs.unknown == 0
    scored = expanded(shipped("jobs") / "studies" / "xtreme-r.yaml", "keep=scores")
    kept = {key: node.run.runtime.keep_finished for key, node in scored.nodes.items()}
    assert kept == {key: "model" if key in before else "scores" for key in scored.nodes}
    assert budget(scored, dict.fromkeys(graph.nodes, Standing("waiting", 0, None)), None).disk == costs.least


def test_shots_trains_zero_shot_once_and_draws_a_curve_for_each_language() -> None:
    graph = expanded(shipped("jobs") / "studies" / "shots.yaml")
    assert (len(graph.points), len(graph.nodes)) == (3 * 4 * 3, (1 + 3 * 3) * 3)
    conditions, _, _ = conditions_of(graph)
    assert {(one.name, one.against) for one in conditions if one.labelled[-1].rows == 10} == {
        (f"language: {language}, shots: 10", f"language: {language}, shots: 0") for language in ("yoruba", "wolof", "quechua")
    }
    for point in graph.points:  # every language that is labelled is scored, by every run
        evaluate = graph.nodes[point.last].run.evaluate
        assert evaluate
        assert {"yor_Latn", "wol_Latn", "quy_Latn"} < set(evaluate.languages)


def test_encoders_have_the_official_rates_or_those_that_were_published() -> None:
    graph = expanded(shipped("jobs") / "studies" / "encoders.yaml")
    assert len(graph.points) == (10 * 4 - 1 + 1) * 3
    found: dict[tuple[str, str], float] = {}
    for point in graph.points:
        train = graph.nodes[point.last].run.train
        assert train
        found[point.values["encoder"], point.values["target"]] = train.learning_rate
    assert {found[name, "xnli-base"] for name in ("mbert", "xlm-r-base", "eurobert-210m")} == {2e-5}
    assert {found[name, "xnli"] for name in ("xlm-r-large", "xlm-100")} == {3e-5}
    assert {target for name, target in found if name == "xlm-r-base"} == {target for _, target in found}  # the baseline
    assert {found["mbert", "squad"], found["xlm-r-large", "squad"]} == {3e-5}
    assert {found["mmbert-base", target] for target in ("xnli", "pos", "ner", "squad")} == {4e-5}
    assert ("xlm-100", "squad") not in found


def test_pawsx_data_is_cut_into_disjoint_rows(shared_data: Path, tmp_path: Path) -> None:
    script = shipped("jobs") / "studies" / "robust_pawsx_data.py"
    done = subprocess.run([sys.executable, script, shared_data, tmp_path / "out"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pawsx, pairs = task("pawsx"), task("pawsx-pairs")
    train, dev = (list(pawsx.examples(tmp_path / "out", split, "en")) for split in ("train", "dev"))
    test = {code: list(pawsx.examples(tmp_path / "out", "test", code)) for code in ("de", "en", "fr", "zh")}
    assert (len(train), len(dev), {code: len(rows) for code, rows in test.items()}) == (1400, 200, dict.fromkeys(test, 400))
    whole = list(pawsx.examples(shared_data, "dev", "en"))
    assert [*train, *dev, *test["en"]] == whole
    mixed = list(pairs.examples(tmp_path / "out", "test", "en-de"))
    kept = sum(not untranslated(one) and not untranslated(other) for one, other in zip(test["en"], test["de"], strict=True))
    assert len(mixed) == kept
    missing = subprocess.run([sys.executable, script, tmp_path, tmp_path / "x"], capture_output=True, text=True)
    assert missing.returncode == 1
    assert "pawsx/dev-de.tsv: no such file" in missing.stderr


def test_rivals_share_their_targets_and_say_what_data_they_needed() -> None:
    """Merged and mapped systems need no training; the run that merges and the one that continues are one."""
    graph = expanded(shipped("jobs") / "studies" / "rivals.yaml")
    stages = Counter(node.stage for node in graph.nodes.values())
    assert stages == {"align": 3 * 2, "target": 3 * 5, "changed": 3 * 3}, "the run that is merged is the aligned one"
    conditions, _, _ = conditions_of(graph)
    needs = {one.values["system"]: one.needs for one in conditions}
    assert needs == {
        **dict.fromkeys(("none", "adversarial", "distil"), ""),
        "mean-shift": "the languages' names",
        "dictionary": "dictionary, parallel text",
        **dict.fromkeys(("procrustes", "infonce", "arithmetic"), "parallel text"),
    }
    merged = [node for node in graph.nodes.values() if node.run.merge]
    assert len(merged) == 3
    taught = [node for node in graph.nodes.values() if node.run.train and node.run.train.distil]
    assert all(len(node.before) == 2 for node in merged)
    assert [graph.nodes[node.before[0]].stage for node in taught] == ["target"] * 3, "the baseline's own"
    steps = {node.run.train.steps for node in graph.nodes.values() if node.run.train and node.stage == "target"}
    assert steps == {100}


def test_rivals_dictionaries_are_found_in_training_rows(shared_data: Path, tmp_path: Path) -> None:
    """Words that everybody can check, and no word of a row that is scored alone."""
    script = shipped("jobs") / "studies" / "rivals_data.py"
    done = subprocess.run([sys.executable, script, shared_data, tmp_path, "swh_Latn"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = dict(line.split("\t") for line in (tmp_path / "en-swh_Latn.txt").read_text().splitlines())
    assert {one: found[one] for one in ("but", "first", "without")} == {"but": "lakini", "first": "kwanza", "without": "bila"}
    missing = subprocess.run([sys.executable, script, tmp_path, tmp_path], capture_output=True, text=True)
    assert missing.returncode == 1
    assert "eng_Latn/train.tsv: no such file" in missing.stderr


def test_syntax_study_reads_trees_that_say_they_are_generated(shared_data: Path, tmp_path: Path) -> None:
    """By equal updates with its two controls; of every text a tree, and the reader of one is named."""
    script = shipped("jobs") / "studies" / "syntax_data.py"
    done = subprocess.run(
        [sys.executable, script, shared_data, tmp_path, "eng_Latn", "tam_Taml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    graph = expanded(shipped("jobs") / "studies" / "syntax.yaml")
    conditions, _, _ = conditions_of(graph)
    needs = {one.values["trees"]: one.needs for one in conditions}
    assert needs == {"none": "", "generated": "dependency trees", "random": "dependency trees"}
    assert {node.run.train.steps for node in graph.nodes.values() if node.run.train} == {132}
    subsets = [
        Subset(task("sib200"), split, code)
        for split, code in (("train", "eng_Latn"), ("test", "eng_Latn"), ("test", "tam_Taml"))
    ]
    trees = Trees("parses", (("sib200", str(tmp_path / "sib200-{split}-{language}.conllu")),))
    for subset in subsets:
        trees.check(subset, shared_data)
        assert "generated" in trees.file(subset).read_text(encoding="utf-8").partition("\n")[0]


def test_syntax_runs_are_known_by_what_their_parses_hold(tmp_path: Path) -> None:
    """Not by where they lie; with strength 0 a run is the plain one."""
    files = [tmp_path / name / "sib200-train-eng_Latn.conllu" for name in ("one", "same", "other")]
    for path, form in zip(files, ("a", "a", "b"), strict=True):
        path.parent.mkdir()
        path.write_text(f"1\t{form}\t_\t_\t_\t_\t0\t_\t_\t_\n")
    found = []
    for path, strength in ((files[0], 1.0), (files[1], 1.0), (files[2], 1.0), (files[0], 0.0)):
        section = f"{{parses: {{sib200: '{path.parent}/sib200-{{split}}-{{language}}.conllu'}}, strength: {strength}}}"
        change = f"axes.trees.generated.target={{model.syntax: {section}}}"
        graph = expanded(shipped("jobs") / "studies" / "syntax.yaml", "seeds=[1]", change)
        found.append({point.values["trees"]: point.last for point in graph.points})
    keys = [one["generated"] for one in found]
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] == found[0]["none"] not in keys[:3]


def test_the_answers_are_of_equal_updates_and_ask_what_must_be_learnt() -> None:
    for name, runs in (("pairs", 3 * (1 + 4)), ("robust", 45), ("intermediate", 3 * (3 + 10)), ("rare", 3 * (4 + 9))):
        graph = expanded(shipped("jobs") / "studies" / f"answer-{name}.yaml")
        assert len(graph.nodes) == runs
        assert graph.study.hypotheses
        steps: dict[str, set[int]] = {}
        for point in graph.points:
            for stage, key in point.stages.items():
                train = graph.nodes[key].run.train
                assert train
                if point.values.get("robust") != "plain-longer":  # as long as adversarial training takes
                    steps.setdefault(stage, set()).add(train.steps or 0)
                assert not train.select or set(train.select.languages) <= {"en", "eng_Latn"}, (
                    "nothing is chosen on a test language"
                )
        assert all(len(found) == 1 for found in steps.values())
        assert all(stage.learns for key, stage in graph.study.stages.items() if key not in ("head", "parallel"))
    head = next(node for node in graph.nodes.values() if node.stage == "head")
    assert head.run.model.frozen_layers == 12
    assert {node.run.model.frozen_layers for node in graph.nodes.values() if node.stage != "head"} == {0}


def test_reproduce_names_each_published_figure_by_a_condition_that_is_run() -> None:
    graph = expanded(shipped("jobs") / "studies" / "reproduce.yaml")
    conditions, _, _ = conditions_of(graph)
    figures = published_figures(graph, conditions)
    assert len(figures) == 14
    assert {one.against is None for one in figures if "2104.08645" in one.source} == {False}
    assert {len(one.seeds) for one in conditions} == {5}


def test_predictions_for_other_languages_hold_as_often_as_they_say() -> None:
    """Of mean differences in other languages, with other seeds, 95 of 100 are within what 12 languages and 4 seeds predict."""
    predict = runpy.run_path(str(shipped("jobs") / "studies" / "answer_predict.py"))["half_width"]
    draw = np.random.default_rng(1)
    inside = []
    for others in (5, 12, 60):
        for _ in range(1000):
            languages, seeds = draw.normal(1, 2, 12), draw.normal(0, 1, 4)
            parts = VariancePart(float(languages.var(ddof=1)) / 12, 11), VariancePart(float(seeds.var(ddof=1)) / 4, 3)
            found = Interval(float(languages.mean() + seeds.mean()), 0.0, 0.0, 1.0, parts=parts)
            told = draw.normal(1, 2, others).mean() + draw.normal(0, 1, 4).mean()
            inside.append(abs(told - found.difference) < predict(found, 12, others))
    assert 0.94 < np.mean(inside) < 0.98  # t of 3 degrees of freedom next to t of 11 is somewhat wide
