"""A study as a user runs it: stopped by a signal, resumed, a run that fails, and nothing done twice."""

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from loaded import Process
from typing_of_commands import Typed

from xdist.checkpoint import tags
from xdist.run.folder import RunFolder

STEPS = 400  # two commands are typed while they are made, on a fast machine too


@pytest.fixture
def study(small: Path, tmp_path: Path) -> Path:
    """Two stages on the tiny benchmark: a target with and without intermediate training, and one whose files are missing."""
    described = {
        "name": "typed",
        "folder": str(tmp_path / "out"),
        "stages": {
            "intermediate": {"run": str(small / "intermediate.yaml"), "set": {"train.steps": STEPS, "runtime.log_every": 1}},
            "target": {
                "run": str(small / "target.yaml"),
                "after": "intermediate",
                "set": {
                    "train": {"epochs": None, "steps": 3},
                    "robust": {"method": "none"},
                    "runtime.keep_finished": "scores",
                },
            },
        },
        "axes": {
            "intermediate": {"english": {"intermediate": {"train.tasks.0.languages": ["en"]}}, "none": {"intermediate": None}},
            "data": {"missing": {"target": {"data.root": str(tmp_path / "nowhere")}}, "there": {}},
        },
        "exclude": [{"intermediate": "none", "data": "missing"}],
        "all": {"runtime": {"ranks": 1, "deepspeed": "zero0"}},
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(described, sort_keys=False))
    return path


def test_study_stopped_gone_on_and_done_once(loaded: Typed, begun: Callable[..., Process], study: Path) -> None:
    out = study.parent / "out"
    process = begun("xdist", "study", "run", study)
    deadline = time.monotonic() + 300
    while not (logs := list(out.glob("runs/intermediate-*/metrics.jsonl"))) or logs[0].read_text().count("\n") < 5:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    second = loaded("xdist", "study", "run", study)
    assert second.returncode == 2
    working = rf"xdist: {out}: xdist study \(host .*, process {process.pid}, since .*\) is running here; "
    assert re.match(working, second.stderr.splitlines()[-1])
    shown = loaded("xdist", "study", "status", study)
    assert "running" in shown.stdout, shown.stdout + shown.stderr
    process.send_signal(signal.SIGTERM)
    code, errors = process.wait(timeout=120), process.stderr.read()
    assert code == 75, errors
    assert f"start it again to resume: xdist study run {study}" in errors
    assert (logs[0].parent / "unfinished").exists()
    stopped = logs[0].read_text().count("\n")
    assert stopped < STEPS

    done = loaded("xdist", "study", "run", study)
    assert done.returncode == 1, done.stderr
    assert logs[0].read_text().count("\n") == STEPS  # resumed, not started again
    status = loaded("xdist", "study", "status", study)
    assert "3 finished, 1 failed" in " ".join(status.stdout.split())
    assert "target-english-missing" in status.stdout
    assert "/nowhere: no such folder" in " ".join(status.stdout.split())
    assert f"report: {out / 'report/report.html'}" in done.stdout  # what came of the others, and what failed
    assert "The study names no baseline" in (out / "report/report.md").read_text()
    assert "target-english-missing-s1" in (out / "report/report.md").read_text()

    # Of what is finished and scored the weights stay, and of targets, with which no run begins, the scores.
    assert [tag.has_states for tag in tags.list_tags(logs[0].parent / "checkpoints")] == [False, False]
    averaged = loaded("xdist", "export", logs[0].parent, study.parent / "averaged", "--average", "2")
    assert (averaged.returncode, (study.parent / "averaged/model.safetensors").is_file()) == (0, True), averaged.stderr
    targets = [path for path in out.glob("runs/target-*") if (path / "scores.json").is_file()]
    assert len(targets) == 2
    assert not any((path / name).exists() for path in targets for name in ("model", "checkpoints"))
    assert all(list(path.glob("predictions/*/*")) for path in targets)

    finished = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/**/*") if path.is_file()}
    again = loaded("xdist", "study", "run", study, "axes.data.missing.target.data.root=" + str(study.parent / "nowhere2"))
    assert again.returncode == 1  # only what failed is tried again
    assert again.stderr.count("target-english-missing-s1: ") == 2
    assert finished == {path: path.stat().st_mtime_ns for path in out.glob("runs/*/**/*") if path.is_file()}
    plan = loaded("xdist", "study", "plan", study)
    assert "3 combinations, 4 runs (1 more if none were shared), 3 finished" in plan.stdout
    assert re.search(r"disk: [0-9.]+ GB for models and checkpoints once all is done \([0-9.]+ with keep: scores\)", plan.stdout)


def test_study_does_two_runs_at_a_time(loaded: Typed, begun: Callable[..., Process], study: Path) -> None:
    out = study.parent / "out"
    words = ("xdist", "study", "run", study, "include=[{intermediate: none}, {data: missing}]", "--at-once", "2")
    process = begun(*words)
    deadline = time.monotonic() + 300

    def wait_for(reached: Callable[[], bool]) -> None:
        while not reached():
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    wait_for(lambda: sum(RunFolder(path).state == "running" for path in out.glob("runs/*")) == 2)
    wait_for(lambda: any(path.read_text().count("\n") >= 5 for path in out.glob("runs/intermediate-*/metrics.jsonl")))
    process.send_signal(signal.SIGTERM)
    code, errors = process.wait(timeout=120), process.stderr.read()
    assert code == 75, errors
    intermediate = next(out.glob("runs/intermediate-*"))
    assert RunFolder(intermediate).state == "unfinished", errors
    lines = [line for line in errors.splitlines() if line]
    assert all(
        re.match(r"xdist: |\[\d/3\] |stopped|.*(intermediate-english-missing|target-none-there)-s1", line) for line in lines
    ), errors

    done = loaded(*words)
    assert done.returncode == 1, done.stderr
    assert (intermediate / "metrics.jsonl").read_text().count("\n") == STEPS  # resumed, not started again
    assert "2 finished, 1 failed" in " ".join(done.stdout.split())
    assert "/nowhere: no such folder" in " ".join(done.stdout.split())
