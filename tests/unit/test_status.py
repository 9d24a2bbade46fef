"""How runs are doing, read from folders as runs leave them."""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from xdist.cli import main
from xdist.config import load_run
from xdist.errors import UserError
from xdist.files import digest, write_json
from xdist.launch.status import find_runs, find_submission, link_events, status
from xdist.launch.submission import live_job, recorded_job
from xdist.run.folder import RunFolder
from xdist.run.lock import RunLock
from xdist.run.sinks import Sinks, Start


def opened(root: Path, name: str, folder: str, **train: object) -> RunFolder:
    values = {
        "name": name,
        "folder": str(root / folder),
        "model": {"backbone": "encoder"},
        "data": {"root": "benchmark"},
        "train": {"tasks": [{"task": "xnli"}], **(train or {"steps": 100})},
    }
    path = root / f"{folder.replace('/', '-')}.yaml"
    path.write_text(yaml.safe_dump(values))
    found = RunFolder(root / folder)
    found.open(load_run(path), None, {})
    return found


def log(folder: RunFolder, steps: list[int], seconds: float = 0.0) -> None:
    sinks = Sinks(("jsonl", "tensorboard"), Start(folder.path, "one", {}, 0))
    for step in steps:
        sinks.scalars(step, {"train/loss": 2.0 - step / 100})
        time.sleep(seconds)
    sinks.close()


def test_running(tmp_path: Path) -> None:
    folder = opened(tmp_path, "one", "runs/one")
    log(folder, [10, 20, 30], seconds=0.3)
    manifest = {"step": 20, "files": {}}
    write_json(folder.checkpoints / "step-00000020" / "manifest.json", {**manifest, "digest": digest(manifest)})
    found = status(folder.path)
    assert (found.run, found.state, found.step, found.steps, found.saved) == ("one", "running", 30, 100, 20)
    assert found.loss == pytest.approx(1.7)
    assert found.left
    # 70 steps at 0.03 seconds or, on a busy machine, more; the full second that it is rounded to.
    assert timedelta(seconds=2) <= found.left < timedelta(seconds=60)
    assert (found.job, found.restarts, found.reason) == ("", 0, "")


def test_ended(tmp_path: Path) -> None:
    folder = opened(tmp_path, "one", "runs/one", epochs=1)
    log(folder, [10])
    folder.mark("failed", "rank 1: RuntimeError: no more")
    found = status(folder.path)
    assert (found.state, found.steps, found.left, found.reason) == ("failed", None, None, "rank 1: RuntimeError: no more")
    assert not folder.user_error
    folder.mark("failed", "user error: no such label")
    assert folder.user_error


@pytest.fixture
def on_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run that a job of number 12 works on, if the squeue of the test says so."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    folder = opened(tmp_path, "one", "runs/one")
    write_json(folder.path / "job" / "job.json", {"kind": "slurm", "job": "12", "submitted": "2026-01-01T00:00:00+00:00"})
    (folder.path / "job" / "restarts").write_text("3\n")
    return folder


def says(command: Path, text: str) -> None:
    command.write_text(f"#!/bin/sh\necho '{text}' >&2; exit 1\n")
    command.chmod(0o755)


def test_job_that_its_scheduler_does_not_know_is_lost(tmp_path: Path, on_slurm: RunFolder) -> None:
    says(tmp_path / "squeue", "slurm_load_jobs error: Invalid job id specified")
    found = status(on_slurm.path)
    assert (found.state, found.job, found.restarts) == ("lost", "12 gone", 3)
    on_slurm.mark("finished")
    assert status(on_slurm.path).state == "finished"


def test_run_that_was_killed_on_this_machine_is_lost(tmp_path: Path, killed_in: Callable[[Path], None]) -> None:
    folder = opened(tmp_path, "one", "runs/one")
    killed_in(folder.path)
    found = status(folder.path)
    assert (found.state, found.reason) == ("lost", "its ranks on this machine ended without a word; start it again")
    again = RunLock(folder.path)
    again.take("xdist train")
    assert status(folder.path).state == "running"
    again.release()


def test_job_whose_scheduler_does_not_answer_is_not_lost(tmp_path: Path, on_slurm: RunFolder) -> None:
    (on_slurm.path / "environment.json").touch()
    says(tmp_path / "squeue", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    found = status(on_slurm.path)
    assert found.state == "running"
    assert found.job.startswith("12 UNKNOWN (squeue: slurm_load_jobs error: Unable to contact slurm controller")
    assert live_job(on_slurm.path, "slurm")  # so it is not submitted a second time


@pytest.mark.parametrize(
    ("condition", "state", "of_preparation"),
    [
        ("", "running", "queued"),
        ("Suspended", "queued", "queued"),
        ("Complete", "finished", "not started"),
        ("Failed", "failed", "failed"),
        ("(NotFound)", "lost", "lost"),
    ],
)
def test_of_a_run_whose_folder_is_not_seen_from_here_its_job_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, condition: str, state: str, of_preparation: str
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    folder = opened(tmp_path, "one", "runs/one")
    folder.environment.unlink()
    conditions = [{"type": condition, "status": "True"}] if condition else []
    shown = json.dumps({"status": {"conditions": conditions}})
    says(tmp_path / "kubectl", condition)
    if condition != "(NotFound)":
        (tmp_path / "kubectl").write_text(f"#!/bin/sh\necho '{shown}'\n")
    job = "space/jobs.batch/one"
    for more, expected in (({}, state), ({"prepare": [job]}, of_preparation)):
        write_json(folder.path / "job" / "job.json", {"kind": "kubernetes", "job": job, "submitted": "", **more})
        assert status(folder.path).state == expected
    folder.mark("unfinished")  # where the volume is seen from here, the folder speaks
    assert status(folder.path).state == ("unfinished" if condition in ("Complete", "Failed", "(NotFound)") else "queued")


def test_runs_are_found_by_description_folder_or_below(tmp_path: Path) -> None:
    one, two = opened(tmp_path, "one", "runs/a/one"), opened(tmp_path, "two", "runs/two")
    assert find_runs([tmp_path / "runs-two.yaml"]) == [two.path]
    assert find_runs([one.path, one.path]) == [one.path]
    assert find_runs([tmp_path / "runs"]) == [one.path, two.path]
    study = {"name": "s", "folder": str(tmp_path / "runs"), "stages": {"a": {"run": "runs-one.yaml"}}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    assert find_runs([tmp_path / "study.yaml"]) == [one.path, two.path]
    with pytest.raises(UserError, match="no run folder, and none below it"):
        find_runs([tmp_path / "runs" / "nothing"])


def test_run_that_was_never_submitted(tmp_path: Path) -> None:
    folder = opened(tmp_path, "one", "runs/one")
    assert recorded_job(folder.path) is None
    with pytest.raises(UserError, match="neither submitted nor started"):
        find_submission(folder.path)


def test_links_carry_the_names_of_runs(tmp_path: Path) -> None:
    folders = [
        opened(tmp_path, "demo/a", "runs/1").path,
        opened(tmp_path, "b", "runs/2").path,
        opened(tmp_path, "b", "old/2").path,
    ]
    log(RunFolder(folders[0]), [1])
    (tmp_path / "links").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.yaml").write_text("name: [")
    names, wrong = link_events([*folders, tmp_path / "broken"], tmp_path / "links")
    assert names == ["demo-a", "b (runs-2)", "b (old-2)"]
    assert len(wrong) == 1
    assert str(wrong[0]).startswith(f"{tmp_path / 'broken' / 'config.yaml'}:1: ")
    assert list((tmp_path / "links" / "demo-a").glob("events*"))


def test_runs_of_one_name_are_told_apart_by_folder(tmp_path: Path) -> None:
    for folder, name in (("a", "xnli"), ("b", "xnli"), ("c", "udpos")):
        (tmp_path / folder).mkdir()
        facts = {"name": name, "folder": str(tmp_path / folder), "model": {"backbone": "x"}, "data": {"root": "data"}}
        (tmp_path / folder / "config.yaml").write_text(yaml.safe_dump({**facts, "evaluate": {"tasks": ["xnli"]}}))
    shown = CliRunner().invoke(main, ["status", str(tmp_path)]).stdout
    assert [line.partition("  ")[0] for line in shown.splitlines()[2:]] == [
        f"xnli ({tmp_path / 'a'})",
        f"xnli ({tmp_path / 'b'})",
        "udpos",
    ]
