"""Requests to stop: noted once, and not overheard the second time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xdist.run.stopping import SIGNALS, StopRequest


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
