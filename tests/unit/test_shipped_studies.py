"""Every study that is shipped expands, and every run of it is valid."""

import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import yaml

from xdist.config import load_run, load_study
from xdist.files import shipped
from xdist.formats.classification import untranslated
from xdist.study import Facts, Graph, expand
from xdist.study.conditions import conditions_of
from xdist.tasks.catalog import task

STUDIES = sorted((shipped("jobs") / "studies").glob("*.yaml"))
RUN = {"name": "a", "folder": "b", "model": {"backbone": "x"}, "data": {"root": "y"}, "evaluate": {"tasks": ["xnli"]}}


@cache
def expanded(path: Path) -> Graph:
    return expand(load_study(path), Facts())


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


def test_shots_trains_zero_shot_once_and_draws_a_curve_for_each_language() -> None:
    graph = expanded(shipped("jobs") / "studies" / "shots.yaml")
    assert (len(graph.points), len(graph.nodes)) == (3 * 4 * 3, (1 + 3 * 3) * 3)
    conditions, _, _ = conditions_of(graph)
    assert {(one.name, one.against) for one in conditions if one.labelled[-1].rows == 10} == {
        (f"{language} · 10", f"{language} · 0") for language in ("yoruba", "wolof", "quechua")
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
    """Merged and mapped systems need no training of their own; the run that merges and the one that goes on are one."""
    graph = expanded(shipped("jobs") / "studies" / "rivals.yaml")
    stages = Counter(node.stage for node in graph.nodes.values())
    assert stages == {"align": 3 * 2, "target": 3 * 7, "score": 3 * 11}, "the run that is merged is the aligned one"
    conditions, _, _ = conditions_of(graph)
    needs = {one.name: one.needs for one in conditions}
    assert needs == {
        **dict.fromkeys(("none", "adversarial", "random", "layer-decay"), ""),
        "mean-shift": "the languages' names",
        **dict.fromkeys(("procrustes", "infonce", "l2", "infonce-beside", "arithmetic", "swapped"), "parallel text"),
    }
    merged = [node for node in graph.nodes.values() if node.run.merge]
    assert len(merged) == 6
    assert all(len(node.before) == 2 for node in merged)
    steps = {node.run.train.steps for node in graph.nodes.values() if node.run.train and node.stage == "target"}
    assert steps == {120}
