"""Requests to stop: noted once, and not overheard the second time."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xdist.errors import RunError
from xdist.run.stopping import SIGNALS, STARTED, StopRequest, drop_old, start_requested_at


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_handlers_come_back(tmp_path: Path, number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in SIGNALS]
    request = StopRequest(tmp_path / "stop", watch_file=False)
    try:
        assert not request
        os.kill(os.getpid(), number)
        assert request
    finally:
        request.close()
    assert [signal.getsignal(one) for one in SIGNALS] == before


@pytest.mark.parametrize("watch", [True, False])
def test_a_file_stops_whoever_watches(tmp_path: Path, watch: bool) -> None:
    request = StopRequest(tmp_path / "stop", watch_file=watch)
    try:
        assert not request
        (tmp_path / "stop").touch()
        assert bool(request) == watch
    finally:
        request.close()


def test_whoever_watches_hears_that_the_folder_is_gone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    requests = [StopRequest(tmp_path / "run" / "stop", watch_file=watch) for watch in (True, False)]
    try:
        assert [bool(request) for request in requests] == [False, False]
        (tmp_path / "run").rename(tmp_path / "other")
        assert not requests[1]
        for _ in range(2):
            with pytest.raises(
                RunError, match="run: was removed, renamed or taken by another start while this one was running"
            ):
                bool(requests[0])
            (tmp_path / "run").mkdir(exist_ok=True)  # by other writers
    finally:
        for request in reversed(requests):
            request.close()


def test_time_runs_out(tmp_path: Path) -> None:
    for minutes, over in ((None, False), (60.0, False), (0.0, True)):
        request = StopRequest(tmp_path / "stop", False, minutes)
        try:
            assert bool(request) == over
        finally:
            request.close()


def test_a_second_signal_ends_the_process() -> None:
    program = (
        "import os, signal\nfrom pathlib import Path\nfrom xdist.run.stopping import StopRequest\n"
        "request = StopRequest(Path('stop'), False)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\nprint('noted', bool(request), flush=True)\nos.kill(os.getpid(), signal.SIGTERM)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.returncode) == ("noted True\n", 128 + signal.SIGTERM)


def test_a_request_that_is_older_than_the_start_is_removed_with_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = tmp_path / "stop"
    drop_old(stop, 100.0)  # none is there
    for age, there in ((101.0, True), (99.0, False)):
        stop.touch()
        os.utime(stop, (age, age))
        drop_old(stop, 100.0)
        assert stop.exists() is there
    assert capsys.readouterr().err == f"xdist: {stop}: older than this start, removed\n"


def test_when_a_start_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher knows best; a job goes by its submission, for any number of restarts; by hand it is the process."""
    submission = tmp_path / "job.json"
    monkeypatch.delenv(STARTED, raising=False)
    assert time.time() - 24 * 3600 < start_requested_at(submission) <= time.time()
    begun = start_requested_at(submission)
    time.sleep(0.05)
    assert start_requested_at(submission) == pytest.approx(begun, abs=0.03)
    submission.touch()
    os.utime(submission, (50.0, 50.0))
    assert start_requested_at(submission) == 50.0
    monkeypatch.setenv(STARTED, "70.5")
    assert start_requested_at(submission) == 70.5
