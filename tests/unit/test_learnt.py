"""Runs that did not learn what they were trained on: a study says so instead of a difference."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from study_folder import described, finished, gold

from xdist.cli import main
from xdist.config import Data, load_study
from xdist.data.histogram import write_histogram
from xdist.data.subset import Subset
from xdist.files import read_json
from xdist.study import Facts, expand
from xdist.study.freeze import describe_study as described_by
from xdist.study.freeze import digest_of
from xdist.study.learnt import checks, unigram_entropy
from xdist.tasks.catalog import task

ASKED = {"over_majority": 10}


def typed(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words)], env={"COLUMNS": "200"})


def study(tmp_path: Path, learns: dict[str, Any] | None = ASKED, **train: Any) -> Path:
    """Two conditions of intermediate training and of robust training, whose target is asked to learn."""
    path = described(tmp_path, gold(tmp_path / "gold"))
    content = yaml.safe_load(path.read_text())
    content["stages"]["target"]["run"]["train"] |= {"select": {"every": 20}, **train}
    if learns is not None:
        content["stages"]["target"]["learns"] = learns
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def majority(root: Path) -> float:
    labels = Counter(one.label for one in task("cldr-topic").examples(root, "dev", "en"))
    return 100 * max(labels.values()) / labels.total()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished study of which one seed of one condition stayed a point above the majority; and which."""
    folder = tmp_path_factory.mktemp("learnt")
    path = study(folder)
    graph = finished(path, lambda values, code: 0.9 if values["robust"] == "adversarial" else 0.5)
    bound, which = majority(folder / "gold") + 10, "target-none-adversarial-s2"
    for node in graph.nodes.values():
        if node.stage == "target":
            value = bound - 9 if node.run.name == which else bound + 5
            lines = node.run.folder / "metrics.jsonl"
            lines.write_text(lines.read_text() + json.dumps({"step": 41, "dev/value": 0.0, "dev/best": value}) + "\n")
    return path, which


def test_a_condition_that_has_not_learnt_has_no_difference(done: tuple[Path, str]) -> None:
    path, which = done
    assert typed("report", path).exit_code == 0
    content = read_json(path.parent / "out/report/report.json")
    (name,) = content["not_learnt"]
    assert "none" in name
    assert "adversarial" in name
    first = content["sentences"][0]
    assert first.startswith(f"“{name}” has not learnt, so no difference is shown: 1 of 2 runs of target ended at ")
    assert f"required: accuracy on dev (en) at least {majority(path.parent / 'gold') + 10:.1f}" in first
    told = {one["condition"] for row in content["answer"] for one in row["differences"]}
    assert told == {one["condition"] for one in content["languages"]}
    assert len(told) == 2
    assert name not in told
    assert any(one["condition"] == name for one in content["scores"]), "what was scored stays to be seen"
    shown = typed("study", "status", path)
    assert f"{which} has not learnt: " in shown.stdout
    states = {one["run"]: one["learnt"] for one in json.loads(typed("study", "status", path, "--json").stdout)["runs"]}
    assert [one["reached"] for one in states[which]] == [False]
    assert [one["reached"] for one in states["target-none-none-s1"]] == [True]
    assert states["intermediate-multilingual-s1"] == []


def test_nothing_is_compared_with_a_baseline_that_has_not_learnt(done: tuple[Path, str]) -> None:
    path, _ = done
    typed("report", path, "stages.target.learns.over_majority=90", "--out", path.parent / "hard")
    content = read_json(path.parent / "hard/report.json")
    assert len(content["not_learnt"]) == 4
    assert sum("so nothing is compared with it" in line for line in content["sentences"]) == 1
    assert content["answer"] == []


def test_what_is_asked_does_not_change_what_a_run_is(tmp_path: Path) -> None:
    keys = [list(expand(load_study(study(tmp_path, learns)), Facts()).nodes) for learns in (None, ASKED, {"at_least": 50})]
    assert keys[0] == keys[1] == keys[2]
    frozen = [
        digest_of(described_by(expand(load_study(study(tmp_path, learns)), Facts()))) for learns in (ASKED, {"at_least": 50})
    ]
    assert frozen[0] != frozen[1], "what must be learnt is frozen with the study"


def test_a_plan_says_what_learnt_means(tmp_path: Path) -> None:
    path = study(tmp_path)
    assert f"learnt means: target (8 runs): accuracy on dev (en) at least {majority(tmp_path / 'gold') + 10:.1f}" in " ".join(
        typed("study", "plan", path).stdout.split()
    )


@pytest.mark.parametrize(
    "learns, train, said",
    [
        (ASKED, {"select": None}, "learns.over_majority: needs train.select by score"),
        ({"at_least": 40}, {"select": {"every": 9, "by": "loss"}}, "learns.at_least: needs train.select by score"),
        ({"below_unigram": 0}, {}, "learns.below_unigram: is of masked text, and this trains on none"),
        ({"over_majority": 10, "tasks": 1}, {}, "unknown key 'tasks'"),
        ({"over_majority": 101}, {}, "learns.over_majority: "),
        ({}, {}, "learns: say what must be reached"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(tmp_path: Path, learns: dict[str, Any], train: Any, said: str) -> None:
    path = study(tmp_path, learns, **train)
    for words in (("study", "run", path, "--dry-run"), ("study", "plan", path), ("study", "run", path)):
        found = typed(*words)
        assert found.exit_code == 2, found.output
        (line,) = found.stderr.splitlines()
        assert line.startswith(f"xdist: {path}:")
        assert said in line


def test_masked_text_is_held_against_the_unigram_entropy_of_its_corpus(tmp_path: Path) -> None:
    udhr, data = task("udhr"), Data(root=tmp_path, cache=tmp_path / "prepared")
    text = Subset(udhr, "train", "wo")
    assert unigram_entropy(text, data, frozenset()) is None
    folder = data.cache / "udhr-train-wo-0123"
    folder.mkdir(parents=True)
    shard = {"file": "a", "rows": 4, "tokens": 32, "size": 1, "sha256": "b"}
    (folder / "manifest.json").write_text(json.dumps({"rows": 4, "tokens": 32, "shards": [shard]}))
    write_histogram(folder, np.array([1000, 0, 1000, 30, 10, 10]))
    share = np.array([0.6, 0.2, 0.2])
    entropy = -(share * np.log(share)).sum()
    assert unigram_entropy(text, data, frozenset({0, 2})) == pytest.approx(entropy)

    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "config.json").write_text(json.dumps({"model_type": "xlm-roberta"}))
    special = [{"id": 0, "special": True}, {"id": 2, "special": True}, {"id": 4, "special": False}]
    (encoder / "tokenizer.json").write_text(json.dumps({"added_tokens": special}))
    run = {
        "model": {"backbone": str(encoder)},
        "data": {"root": str(tmp_path), "cache": str(data.cache)},
        "train": {"tasks": [{"task": "udhr", "languages": ["wo"]}], "steps": 10},
    }
    content = {
        "name": "text",
        "folder": str(tmp_path / "out"),
        "stages": {"text": {"run": run, "learns": {"below_unigram": 0.1}}},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    graph = expand(load_study(tmp_path / "study.yaml"), Facts())
    (node,) = graph.nodes.values()
    (asked,) = checks(graph, node)
    assert (asked.bound, asked.reached) == (pytest.approx(entropy - 0.1), None)
    (node.run.folder / "model").mkdir(parents=True)
    for last, reached in ((entropy, False), (entropy - 0.2, True)):
        losses = [12.4, *[entropy + 1] * 7, last, last]  # the last fifth counts
        lines = [json.dumps({"step": step, "train/loss": loss}) for step, loss in enumerate(losses, 1)]
        (node.run.folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        (found,) = checks(graph, node)
        assert (found.value, found.reached) == (pytest.approx(last), reached)
