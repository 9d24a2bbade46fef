"""What a rank says, and what it leaves in the run's folder, when it meets an error."""

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from xdist.config import Run, load_run
from xdist.errors import RunError, UserError, own
from xdist.run import distributed, worker
from xdist.run.folder import RunFolder, RunState
from xdist.run.heartbeat import End
from xdist.run.lock import RunLock
from xdist.run.progress import Progress

Ended = Callable[[int, Callable[[Run], None]], int]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Of a run that has started."""
    described = {
        "name": "a",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": "some/encoder"},
        "data": {"root": "benchmark"},
        "train": {"tasks": [{"task": "xnli"}], "steps": 5},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(described))
    found = RunFolder(tmp_path / "run")
    found.announce(load_run(tmp_path / "run.yaml"))
    return found


@pytest.fixture
def ended(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Ended:
    """The code with which a rank ends that does `work`."""

    def run(rank: int, work: Callable[[Run], None]) -> int:
        monkeypatch.setenv("RANK", str(rank))
        for name, value in {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["train.py", str(folder.path.with_name("run.yaml"))])
        monkeypatch.setattr(worker, "quiet_libraries", lambda: None)
        monkeypatch.setattr(worker, "SAYING", 0.0)
        monkeypatch.setattr(worker, "_leave", sys.exit)
        monkeypatch.setattr(worker, "_answer_signals", lambda how: None)
        with pytest.raises(SystemExit) as left:
            worker.main(work, "usage")
        return int(left.value.code or 0)

    return run


def wrong(run: Run) -> None:
    raise UserError("train-en.tsv:7: unknown label 'maybe'")


def breaks(run: Run) -> None:
    raise OSError("no such device")


def wrong_here(run: Run) -> None:
    with own():
        wrong(run)


@pytest.mark.parametrize(
    "rank, work, said", [(0, wrong, True), (1, wrong, False), (0, wrong_here, True), (1, wrong_here, True)]
)
def test_a_mistake_is_said_once_or_by_the_rank_that_met_it(
    rank: int, work: Callable[[Run], None], said: bool, folder: RunFolder, ended: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(rank, work) == 2
    assert capsys.readouterr().err == ("xdist: train-en.tsv:7: unknown label 'maybe'\n" if said else "")
    assert (folder.state, folder.user_error) == (("failed", True) if said else ("running", False))


def test_a_start_that_finds_the_run_at_work_leaves_no_mark(
    folder: RunFolder, ended: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    held = RunLock(folder.path)
    held.take("xdist train")
    before = {path: path.read_bytes() for path in folder.path.iterdir()}
    assert ended(0, lambda run: RunLock(run.folder).check()) == 2
    assert "is running here" in capsys.readouterr().err
    assert [ended(rank, work) for rank in (0, 1) for work in (wrong, wrong_here, breaks)] == [2, 2, 1] * 2
    assert before == {path: path.read_bytes() for path in folder.path.iterdir()}
    held.release()


def test_a_start_of_another_run_leaves_no_mark(folder: RunFolder, ended: Ended) -> None:
    described = folder.path.with_name("run.yaml")
    described.write_text(described.read_text().replace("steps: 5", "steps: 6"))
    assert [ended(0, work) for work in (wrong, breaks)] == [2, 1]
    assert folder.state == "running"


def test_a_start_that_has_lost_its_folder_leaves_no_mark(
    folder: RunFolder, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was stopped for long, where locks are kept to each machine, and that another start took for dead."""
    lock = RunLock(folder.path)
    monkeypatch.setattr(worker, "_claim", worker.Claim(lock.take("xdist train"), "running"))
    lock.release()
    lock.take("another start")
    assert ended(0, breaks) == 1
    assert folder.state == "running"
    lock.release()


def test_one_step_again_leaves_no_mark(folder: RunFolder, ended: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "only_step", lambda: 3)
    assert [ended(0, work) for work in (wrong, breaks)] == [2, 1]
    assert folder.state == "running"


@pytest.mark.parametrize(
    "found, now, said", [("new", "new", True), ("unfinished", "unfinished", True), ("new", "failed", False)]
)
def test_a_death_is_said_unless_the_folder_says_how_the_run_ended(
    folder: RunFolder,
    found: RunState,
    now: RunState,
    said: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lock = RunLock(folder.path)
    monkeypatch.setattr(worker, "_folder", folder)
    monkeypatch.setattr(worker, "_claim", worker.Claim(lock.take("xdist train"), found))
    monkeypatch.setattr(worker, "_leave", sys.exit)
    folder.config.unlink()
    if now != "new":
        folder.mark(now, "another rank said it")
    with pytest.raises(SystemExit) as left:
        worker.end_for(End("rank 1 died"))
    assert left.value.code == 1
    assert capsys.readouterr().err == ("xdist: rank 1 died; ending rank 0\n" if said else "")
    with pytest.raises(SystemExit) as left:
        worker.end_for(End("", 2))
    assert (left.value.code, capsys.readouterr().err) == (2, "")
    lock.release()


@pytest.mark.parametrize("wish, handling", [(None, "3"), ("1", "3"), ("0", "0")])
def test_a_watchdog_that_is_held_leaves_no_half_made_sums(
    monkeypatch: pytest.MonkeyPatch, wish: str | None, handling: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.delenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", raising=False)
    if wish:
        monkeypatch.setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", wish)
    found = []
    monkeypatch.setattr(distributed, "init", lambda: found.append(os.environ["TORCH_NCCL_ASYNC_ERROR_HANDLING"]))
    assert worker.join(lambda: "looked") == "looked"
    assert found == [handling]


def test_a_mistake_in_starting_again_elsewhere_is_marked(folder: RunFolder, ended: Ended) -> None:
    folder.mark("unfinished")
    folder.announce(load_run(folder.path.with_name("run.yaml")))  # as a pod does, which would else start it for ever
    assert ended(0, wrong) == 2
    assert folder.user_error


def test_a_mistake_beside_it_leaves_a_saved_run_saved(folder: RunFolder, ended: Ended) -> None:
    """As of `--only-step` with a wrong number, or `xdist evaluate` before the end of training."""
    folder.mark("unfinished")
    assert ended(0, wrong) == 2
    assert folder.state == "unfinished"


def test_what_breaks_early_leaves_a_saved_run_saved(folder: RunFolder, ended: Ended) -> None:
    folder.mark("unfinished")
    assert ended(0, breaks) == 1
    assert folder.state == "unfinished"


@pytest.mark.parametrize("error", [RunError("step 20 could not be saved (3 times in a row)"), ValueError("odd")])
def test_an_end_is_marked_where_nothing_more_can_be_said(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """As where the scheduler's log is on the disk that is full."""

    def breaks(run: Run) -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["train.py", str(folder.path.with_name("run.yaml"))])
    monkeypatch.setattr(worker, "quiet_libraries", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda number, action: None)
    monkeypatch.setattr(os, "_exit", sys.exit)
    with open("/dev/full", "w", buffering=1) as full, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", full)
        with pytest.raises(SystemExit) as left:
            worker.main(breaks, "usage")
        with contextlib.suppress(OSError):
            full.close()
    assert left.value.code == 1
    assert folder.state == "failed"
    assert str(error) in folder.reason()


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
def test_what_the_machine_lacks_is_one_line_on_whichever_rank(
    folder: RunFolder, ended: Ended, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def breaks(run: Run) -> None:
        raise error

    assert ended(1, breaks) == 1
    said = capsys.readouterr().err
    assert said.startswith("xdist: rank 1 ")
    assert len(said.splitlines()) == 1
    assert said == f"xdist: {folder.reason()}\n"


def test_an_end_is_said_where_the_folder_has_no_room(
    folder: RunFolder, ended: Ended, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: RunFolder, *words: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(RunFolder, "mark", full)
    assert ended(0, wrong) == 2
    assert "unknown label 'maybe'" in capsys.readouterr().err


def test_a_log_that_is_full_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        progress = Progress("train", 3)
        progress.advance(3)
        progress.close()
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()
    assert progress.done == 3
