"""Which sinks a run names: one that is not known is one line at every kind of start, and a folder is read with any name in
it."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from pages import ROOT, shown
from registered import forgetting
from resolved_of import resolved_of
from tiny import tiny_benchmark
from tiny_study import graph_of

from xdist.cli import main
from xdist.config import load_run
from xdist.errors import UserError
from xdist.run.folder import RunFolder
from xdist.study import Facts
from xdist.study.running import run_study


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run that requests a sink which is not known."""
    tiny_benchmark(tmp_path / "benchmark")
    run = {
        "name": "mine",
        "folder": "runs/mine",
        "model": {"backbone": "encoder"},
        "data": {"root": "benchmark"},
        "train": {"tasks": [{"task": "cldr-topic"}], "steps": 3},
        "evaluate": {"tasks": ["cldr-topic"]},
        "runtime": {"sinks": ["jsonl", "tensorbord"]},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    (tmp_path / "slurm.yaml").write_text("{kind: slurm, time_limit: 1h}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


UNKNOWN = "unknown sink 'tensorbord': did you mean 'tensorboard'? (valid: jsonl, tensorboard, wandb)"


@pytest.mark.parametrize("command", ["train", "evaluate", "submit --cluster slurm.yaml"])
@pytest.mark.parametrize("dry", ["--dry-run", ""])
def test_an_unknown_sink_is_one_line(place: Path, command: str, dry: str) -> None:
    done = CliRunner().invoke(main, [*command.split(), "run.yaml", *dry.split()])
    assert (done.exit_code, done.stderr) == (2, f"xdist: run.yaml:17: runtime.sinks.1: {UNKNOWN}\n")
    assert not (place / "runs").exists()


def test_a_sink_of_ones_own_is_there_for_the_runs_that_name_its_file(place: Path) -> None:
    (place / "csv_sink.py").write_text(dict(shown(ROOT / "docs/how-to/own-sink.md"))["csv_sink.py"], encoding="utf-8")
    with forgetting():
        resolved_of(load_run(place / "run.yaml", ["plugins=[csv_sink.py]", "runtime.sinks=[csv]"])).check_sinks()
        with pytest.raises(UserError, match=r"runtime\.sinks\.0: unknown sink 'csv': \(valid: jsonl, tensorboard, wandb\)"):
            resolved_of(load_run(place / "run.yaml", ["runtime.sinks=[csv]"])).check_sinks()


@pytest.mark.skipif(find_spec("wandb") is not None, reason="wandb is installed")
def test_a_sink_whose_package_is_missing_is_one_line_before_a_run_begins(place: Path) -> None:
    done = CliRunner().invoke(main, ["train", "run.yaml", "--dry-run", "runtime.sinks=[wandb]"])
    needs = "runtime.sinks.0: needs the package wandb: pip install 'xdist-xtreme[wandb]'"
    assert (done.exit_code, done.stderr) == (2, f"xdist: runtime.sinks=[wandb] (command line): {needs}\n")


def test_an_unknown_sink_of_a_study_is_one_line_before_it_begins(tmp_path: Path, described: dict[str, Any]) -> None:
    described["stages"]["target"]["run"]["runtime"] = {"sinks": ["tensorbord"]}
    with pytest.raises(UserError) as caught:
        run_study(graph_of(tmp_path, described), Facts())
    assert str(caught.value).endswith(UNKNOWN)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "override, message",
    [
        ("runtime.sinks=tensorboard", "runtime.sinks=tensorboard (command line): runtime.sinks: expected a list: [a, b]"),
        ("runtime.sinks=[[1]]", "runtime.sinks=[[1]] (command line): runtime.sinks.0: Input should be a valid string"),
    ],
)
def test_what_is_no_list_of_names_is_one_line(place: Path, override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_run(place / "run.yaml", [override])
    assert str(caught.value) == message


def test_sinks_are_no_part_of_what_a_run_is(place: Path) -> None:
    """A run continues with others; a folder with one that is not known here is read, and so is one from before there were
    any."""
    run = load_run(place / "run.yaml")
    folder = RunFolder(run.folder)
    folder.open(run, None, {})
    known = load_run(place / "run.yaml", ["runtime.sinks=[]"])
    resolved_of(known).check_sinks()
    folder.check(known)
    assert known.identity == run.identity
    assert CliRunner().invoke(main, ["status", "runs"]).exit_code == 0
    values = yaml.safe_load(folder.config.read_text())
    assert values["runtime"].pop("sinks") == ["jsonl", "tensorbord"]
    folder.config.write_text(yaml.safe_dump(values))
    assert load_run(folder.config).runtime.sinks == ("tensorboard",)
