"""The whole road as a user types it, on two ranks, with a tiny encoder: train, stop, go on, evaluate, report."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from typing_of_commands import Typed

import xdist
from xdist.cli import main
from xdist.files import file_digest, read_json
from xdist.runtime.run_folder import RunFolder

PACKAGE = Path(xdist.__file__).parent


@dataclass(frozen=True)
class Stopped:
    """How a run stood after a signal: its exit code, what it said, its last logged step, and what lay in its folder."""

    code: int
    errors: str
    step: int
    files: set[str]


@pytest.fixture(scope="module")
def stopped(small: Path) -> Stopped:
    """The intermediate run, sent SIGTERM when it has logged five steps."""
    command = [str(Path(sys.executable).with_name("xdist")), "train", str(small / "intermediate.yaml"), "runtime.log_every=1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "DS_ACCELERATOR": "cpu"})
    metrics = small / "intermediate/metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (metrics.exists() and metrics.read_text().count("\n") >= 5):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    last = json.loads(metrics.read_text().splitlines()[-1])["step"]
    return Stopped(process.returncode, errors, last, {path.name for path in (small / "intermediate").iterdir()})


@pytest.fixture(scope="module")
def intermediate(typed: Typed, small: Path, stopped: Stopped) -> Path:
    """The folder of the same run, started again and finished."""
    done = typed("xdist", "train", small / "intermediate.yaml", "runtime.log_every=50")
    assert done.returncode == 0, done.stderr
    return small / "intermediate"


def test_stopped_run_is_saved(stopped: Stopped) -> None:
    assert stopped.code == 75, stopped.errors
    assert "start it again to go on" in stopped.errors
    assert "unfinished" in stopped.files
    assert "model" not in stopped.files


def test_it_goes_on(stopped: Stopped, intermediate: Path) -> None:
    steps = [json.loads(line)["step"] for line in (intermediate / "metrics.jsonl").read_text().splitlines()]
    assert steps[: stopped.step - 1] == list(range(1, stopped.step))
    assert steps == sorted(set(steps))
    assert steps[-1] == 150


def test_train_learns_and_scores_every_language(intermediate: Path) -> None:
    languages = read_json(intermediate / "scores.json")["tasks"]["cldr-topic"]["languages"]
    assert set(languages) == {"en", "de", "sw"}
    assert languages["en"]["accuracy"] > 60  # six labels: chance is 17
    assert (intermediate / "finished").exists()


def test_finished_run_starts_nothing(typed: Typed, small: Path, intermediate: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in intermediate.rglob("*")}
    again = typed("xdist", "train", small / "intermediate.yaml")
    assert (again.returncode, again.stdout.startswith("intermediate is finished")) == (0, True)
    assert before == {path: path.stat().st_mtime_ns for path in intermediate.rglob("*")}


def test_another_configuration_is_refused_and_nothing_lost(typed: Typed, small: Path, intermediate: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in intermediate.rglob("*")}
    other = typed("xdist", "train", small / "intermediate.yaml", "train.learning_rate=1e-3")
    assert other.returncode == 2
    assert other.stderr.splitlines()[-1].endswith("choose another folder (folder=…) or remove this one")
    assert "train.learning_rate was 0.002, is 0.001" in other.stderr
    assert before == {path: path.stat().st_mtime_ns for path in intermediate.rglob("*")}


def test_workers_way_in_and_heads_carried_over(typed: Typed, small: Path, intermediate: Path) -> None:
    words = ("deepspeed", "--num_accelerators", "2", "--master_port", "29731", PACKAGE / "train.py", small / "target.yaml")
    done = typed(*words, "runtime.log_every=2")
    assert done.returncode == 0, done.stderr
    assert "carried over: cldr-topic" in done.stderr
    scores = read_json(small / "target" / "scores.json")["tasks"]
    assert scores["cldr-spans"]["languages"]["en"]["f1"] > 30
    assert set(scores["cldr-names"]["languages"]) == {"de", "sw"}
    logged = [json.loads(line) for line in (small / "target" / "metrics.jsonl").read_text().splitlines()]
    assert all("robust/loss_gap" in line for line in logged)
    assert "runtime.log_every" not in done.stderr
    assert len(logged) > 3
    sizes = small / "sizes.txt"  # which a method of somebody else's reads
    assert read_json(small / "target" / "data.json")[str(sizes)] == file_digest(sizes)
    assert RunFolder(small / "target").config.read_text().count("fading.py@") == 1


def test_what_a_method_of_somebody_elses_trained_is_looked_at_without_it(
    small: Path, intermediate: Path, tmp_path: Path
) -> None:
    """In this process, which knows nothing of the method, and after its file is gone."""
    target = small / "target"
    commands = [
        ["status", target],
        ["report", target, "--out", tmp_path / "report"],
        ["compare", target, target],
        ["score", target / "predictions", "--gold", small / "benchmark", "--partial"],
        ["export", target, tmp_path / "exported", "--head", "cldr-topic"],
    ]
    config = RunFolder(target).config
    config.write_text(config.read_text().replace("fading.py@", "gone.py@"))
    for words in commands:
        done = CliRunner().invoke(main, [str(word) for word in words])
        assert done.exit_code == 0, (words, done.output, done.exc_info)
    assert "robust training: fading (sizes " in (tmp_path / "exported/README.md").read_text()


def test_visible_devices_that_deepspeed_replaced_are_one_line(typed: Typed, small: Path) -> None:
    before = sorted(small.rglob("*"))
    words = ("deepspeed", "--num_accelerators", "2", "--log_level", "error", PACKAGE / "train.py", small / "intermediate.yaml")
    done = typed(*words, "folder=other", cwd=small, more={"CUDA_VISIBLE_DEVICES": "GPU-8932f937"})
    assert done.returncode == 2, done.stderr
    assert [line for line in done.stderr.splitlines() if "launch.py" not in line] == [
        "xdist: CUDA_VISIBLE_DEVICES=GPU-8932f937: DeepSpeed's launcher put 0,1 in its place; "
        "`xdist train`, `xdist evaluate` and torchrun hand it on as it is"
    ]
    assert sorted(small.rglob("*")) == before


def test_more_languages_and_tasks_after_training(typed: Typed, small: Path, intermediate: Path) -> None:
    more = ("evaluate.tasks=[cldr-topic, cldr-names]", "evaluate.languages=[de]")
    done = typed("xdist", "evaluate", small / "intermediate.yaml", *more)
    assert done.returncode == 0, done.stderr
    tasks = read_json(intermediate / "scores.json")["tasks"]
    assert set(tasks["cldr-topic"]["languages"]) == {"en", "de", "sw"}
    assert set(tasks["cldr-names"]["languages"]) == {"de"}


def test_report_of_two_runs(typed: Typed, small: Path, intermediate: Path, tmp_path: Path) -> None:
    done = typed("xdist", "report", intermediate, "--out", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    assert "cldr-topic" in done.stdout
    assert (tmp_path / "report" / "report.html").stat().st_size > 5000
