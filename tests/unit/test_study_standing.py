"""The state of each run of a study, read from the run folders."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from predicted import predict
from resolved_of import scored_of
from rich.console import Console
from tiny_study import graph_of

from xdist.run.folder import NOT_KEPT, RunFolder
from xdist.run.lock import RunLock
from xdist.study import Facts
from xdist.study.show import print_standings
from xdist.study.state import last_step, make_scorable, note_failure, standings


@settings(max_examples=15)
@given(st.lists(st.booleans(), min_size=6, max_size=6))
def test_status_follows_the_folders(marks: list[bool]) -> None:
    """For any set of finished runs, a run is blocked exactly when the one before it failed."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as name:
        folder = Path(name)
        train = {"tasks": [{"task": "cldr-topic"}], "steps": 4}
        stage = {"data": {"root": str(folder)}, "model": {"backbone": "x"}, "train": train}
        stages = {"a": {"run": stage}, "b": {"run": stage, "after": "a"}}
        axes = {"rate": {str(n): {"a": {"train.learning_rate": n / 1000}} for n in range(1, 4)}}
        study = {"name": "s", "folder": str(folder / "out"), "stages": stages, "axes": axes}
        graph = graph_of(folder, study)
        for node, finished in zip(graph.nodes.values(), marks, strict=True):
            node.run.folder.mkdir(parents=True)
            RunFolder(node.run.folder).mark("finished" if finished else "failed", "because")
        found = standings(graph, Facts())
        for key, node in graph.nodes.items():
            if node.upstream and found[node.upstream].state == "failed":
                assert found[key].state == "blocked"
                assert found[key].reason == f"needs {graph.nodes[node.upstream].run.name}"
            else:
                assert found[key].state in ("finished", "failed")
                assert found[key].reason == ("because" if found[key].state == "failed" else "")


ONE = ("seeds=[1]", "include=[{first: none, robust: plain}]")


def test_the_last_step_stands_in_a_line_of_any_length(tmp_path: Path) -> None:
    long = {"step": 7, **{f"loss/mlm/{number}": 0.5 for number in range(2000)}}
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 6}}\n{json.dumps(long)}\n{{"ste')
    assert (tmp_path / "metrics.jsonl").stat().st_size > 3 * 8192
    assert last_step(tmp_path / "metrics.jsonl") == 7


def test_standing_of_scores_and_steps(tmp_path: Path, described: dict[str, Any]) -> None:
    graph = graph_of(tmp_path, described, *ONE)
    (node,) = graph.nodes.values()
    folder = RunFolder(node.run.folder)
    assert standings(graph, Facts())[node.key].state == "waiting"
    folder.path.mkdir(parents=True)
    folder.config.write_text("")
    folder.metrics.write_text('{"step": 3}\n{"step": 6}\n{"ste')
    assert last_step(folder.metrics) == 6
    folder.mark("finished")
    assert standings(graph, Facts())[node.key].state == "stopped"  # trained, not scored
    languages = {code: {"f1": 50.0, "count": 40} for code in ("en", "de", "sw")}
    entry = {
        "family": "tagging",
        "metric": "f1",
        "split": "test",
        "trained_on": [],
        "languages": languages,
        "mean": {"f1": 50.0},
    }
    folder.scores.write_text(json.dumps({"run": "x", "tasks": {"cldr-spans": entry}}))
    noted = {str(subset): Facts().subset(node.run.data, subset) for subset in scored_of(node.run)}
    folder.path.with_name(f"{folder.path.name}.evaluated.json").write_text(json.dumps(noted))  # as earlier versions did
    assert standings(graph, Facts())[node.key].state == "finished"
    gold = node.run.data.root / "cldr-spans/test-de.tsv"
    text = gold.read_text()
    try:
        gold.write_text(text + "\nnew\tO\n")
        assert standings(graph, Facts())[node.key].state == "stopped"  # scored against other files
    finally:
        gold.write_text(text)
    graph = graph_of(tmp_path, described, *ONE, "stages.target.set.evaluate.smoothing={draws: 2}")
    assert graph.nodes.keys() == {node.key}
    assert standings(graph, Facts())[node.key].state == "stopped"  # scored, but not smoothed
    (smoothed,) = graph.nodes.values()
    assert smoothed.run.evaluate
    assert smoothed.run.evaluate.smoothing
    entry["smoothing"] = smoothed.run.evaluate.smoothing.model_dump()
    folder.scores.write_text(json.dumps({"run": "x", "tasks": {"cldr-spans": entry}}))
    assert standings(graph, Facts())[node.key].state == "finished"
    graph = graph_of(tmp_path, described, *ONE)
    folder.scores.write_text("{")
    now = standings(graph, Facts())[node.key]
    assert now.state == "stopped"
    assert str(folder.scores) in now.reason
    with (console := Console(width=300)).capture() as shown:
        print_standings(graph, {node.key: now}, console)
    assert f"{node.run.name}: {now.reason}" in shown.get()
    folder.mark("running")
    note_failure(graph, node, "no such file")
    now = standings(graph, Facts())[node.key]
    assert (now.state, now.step, now.reason) == ("failed", 6, "no such file")


def test_a_run_that_was_killed_here_is_stopped(
    tmp_path: Path, described: dict[str, Any], killed_in: Callable[[Path], None]
) -> None:
    graph = graph_of(tmp_path, described, *ONE)
    (node,) = graph.nodes.values()
    folder = RunFolder(node.run.folder)
    folder.announce(node.run)
    folder.environment.write_text("{}")
    killed_in(folder.path)
    assert standings(graph, Facts())[node.key].state == "stopped"
    again = RunLock(folder.path)
    again.take("xdist train")
    assert standings(graph, Facts())[node.key].state == "running"
    again.release()


def test_gold_that_comes_later_stops_a_run_and_leaves_its_predictions(tmp_path: Path, described: dict[str, Any]) -> None:
    root = shutil.copytree(described["stages"]["target"]["run"]["data"]["root"], tmp_path / "data")
    described["stages"]["target"]["run"]["data"]["root"] = str(root)
    test_set = root / "cldr-spans/test-de.tsv"
    whole = test_set.read_text()
    test_set.write_text("".join(line.split("\t")[0] + "\n" for line in whole.splitlines()))
    graph = graph_of(tmp_path, described, *ONE, "stages.target.set.evaluate.languages=[de]")
    (node,) = graph.nodes.values()
    folder = RunFolder(node.run.folder)
    folder.model.mkdir(parents=True)
    (folder.model / "config.json").write_text("{}")
    original = tmp_path / "original/cldr-spans/test-de.tsv"
    original.parent.mkdir(parents=True)
    original.write_text(whole)
    assert predict(node.run, tmp_path / "original") == ["cldr-spans test de"]
    folder.mark("finished")
    assert standings(graph, Facts())[node.key].state == "finished"  # without gold there is nothing more to do
    test_set.write_text(whole)
    assert standings(graph, Facts())[node.key].state == "stopped"
    make_scorable(node, Facts())
    assert (folder.predictions / "cldr-spans/test-de.tsv").is_file()
    assert predict(node.run, tmp_path / "original") == []
    assert standings(graph, Facts())[node.key].state == "finished"
    (folder.model / "config.json").write_text("{'another': 1}")
    assert standings(graph, Facts())[node.key].state == "stopped"
    make_scorable(node, Facts())  # what a study says is what its scores are made of
    assert not folder.predictions.exists()
    assert not folder.scores.exists()


def test_a_model_that_was_not_kept_is_made_again_where_a_run_needs_it(tmp_path: Path, described: dict[str, Any]) -> None:
    """As when a stage that begins with it is added to a study that kept scores alone."""
    graph = graph_of(tmp_path, described, "seeds=[1]", "include=[{first: english, robust: plain}]")
    first, target = graph.nodes.values()
    assert target.upstream == first.key
    for node in (first, target):
        RunFolder(node.run.folder).path.mkdir(parents=True)
        RunFolder(node.run.folder).mark("finished", NOT_KEPT)
    found = standings(graph, Facts())[first.key]
    assert (found.state, "needs it now" in found.reason) == ("stopped", True)
    RunFolder(first.run.folder).model.mkdir()
    assert standings(graph, Facts())[first.key].state == "finished"
