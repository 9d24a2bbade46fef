"""Several runs of a study at a time: what each gets, what is refused, and in which order they begin."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from study_folder import described, gold

from xdist.cli import main
from xdist.config import load_study
from xdist.run import devices
from xdist.study import Facts, expand, running
from xdist.study.expansion import Graph, Node
from xdist.study.runners import gpu_shares
from xdist.study.state import NodeState, Standing


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with four."""
    place = tmp_path / "dev"
    place.mkdir()
    for number in range(4):
        (place / f"nvidia{number}").touch()
    monkeypatch.setattr(devices, "DEV", place)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("DS_ACCELERATOR", raising=False)


@pytest.mark.parametrize(
    "chosen, at_once, shares",
    [
        (None, 1, [["0", "1", "2", "3"]]),
        (None, 2, [["0", "1"], ["2", "3"]]),
        (None, 3, [["0"], ["1"], ["2"]]),
        ("3,1", 2, [["3"], ["1"]]),
        ("", 3, [[], [], []]),
    ],
)
def test_each_run_gets_as_many_of_the_visible_gpus(
    gpus: None, monkeypatch: pytest.MonkeyPatch, chosen: str | None, at_once: int, shares: list[list[str]]
) -> None:
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert gpu_shares(at_once) == shares


@pytest.mark.parametrize(
    "ranks, chosen, at_once, line",
    [
        (1, None, 5, "--at-once 5: 4 GPUs are visible, and each run needs one (valid: 1 to 4)"),
        (1, "2", 2, "--at-once 2: 1 GPU is visible, and each run needs one (valid: 1)"),
        (
            2,
            None,
            3,
            "--at-once 3: leaves each run 1 of 4 visible GPUs, and {} has 2 ranks (valid: 1 to 2, or fewer runtime.ranks)",
        ),
        (4, None, 2, "--at-once 2: leaves each run 2 of 4 visible GPUs, and {} has 4 ranks (valid: 1, or fewer runtime.ranks)"),
    ],
)
@pytest.mark.parametrize("more", [["--dry-run"], []])
def test_more_runs_than_gpus_are_refused_before_any_starts(
    gpus: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ranks: int,
    chosen: str | None,
    at_once: int,
    line: str,
    more: Sequence[str],
) -> None:
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    study = described(tmp_path, gold(tmp_path / "data"))
    words = ["study", "run", str(study), f"all.runtime.ranks={ranks}", "--at-once", str(at_once)]
    done = CliRunner().invoke(main, [*words, *more])
    first = next(iter(expand(load_study(study), Facts()).nodes.values())).run.name
    assert (done.exit_code, done.stderr) == (2, f"xdist: {line.format(first)}\n")
    assert not (tmp_path / "out/descriptions").exists()


class Drawn:
    """Runs that end in an order that is drawn, well or badly."""

    def __init__(self, graph: Graph, at_once: int, data: st.DataObject) -> None:
        self.graph, self.at_once, self.data = graph, at_once, data
        self.working: list[str] = []
        self.begun: list[str] = []
        self.ended: dict[str, NodeState] = {}

    @property
    def room(self) -> bool:
        return len(self.working) < self.at_once

    @property
    def busy(self) -> bool:
        return bool(self.working)

    def stopping(self) -> bool:
        return False

    def begin(self, node: Node) -> None:
        assert self.room
        assert all(self.ended[before] == "finished" for before in node.before)
        self.working.append(node.key)
        self.begun.append(node.key)

    def next_ended(self) -> tuple[str, str]:
        ready = [key for key in self.graph.nodes if key not in self.begun and self._can(key)]
        assert not (self.room and ready)  # nothing that can begin waits while there is room
        key = self.working.pop(self.data.draw(st.integers(0, len(self.working) - 1)))
        self.ended[key] = self.data.draw(st.sampled_from(("finished", "failed")))
        return key, ""

    def _can(self, key: str) -> bool:
        return all(self.ended.get(before) == "finished" for before in self.graph.nodes[key].before)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    folder = tmp_path_factory.mktemp("at_once")
    return expand(load_study(described(folder, gold(folder / "data"))), Facts())


@settings(max_examples=60, deadline=None)
@given(at_once=st.integers(1, 5), data=st.data())
def test_every_run_begins_once_after_those_it_needs(graph: Graph, at_once: int, data: st.DataObject) -> None:
    there = Drawn(graph, at_once, data)

    def standing(node: Node, _graph: Graph, before: dict[str, Standing], _facts: Facts) -> Standing:
        broken = any(before[key].state in ("failed", "blocked") for key in node.before)
        return Standing("blocked" if broken else there.ended.get(node.key, "waiting"), 0, None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "standing", standing)
        code = running._do_all(graph, Facts(), there)
    blocked = {key for key in graph.nodes if key not in there.begun}
    assert sorted(there.begun) == sorted(set(graph.nodes) - blocked)
    assert all(any(there.ended.get(one) != "finished" for one in graph.nodes[key].before) for key in blocked)
    assert code == (0 if set(there.ended.values()) == {"finished"} else 1)
    if at_once == 1:
        assert there.begun == [key for key in graph.nodes if key in there.begun]
