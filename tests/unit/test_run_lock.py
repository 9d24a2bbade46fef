"""Two starts of one run: the second is refused by name, a dead holder blocks no other."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from xdist.errors import BusyError, RunError, UserError
from xdist.run.lock import RunLock

HOLD = (
    "import sys, time\nfrom pathlib import Path\nfrom xdist.run.lock import RunLock\n"
    "RunLock(Path(sys.argv[1])).take('xdist train')\nprint('held', flush=True)\ntime.sleep(60)"
)


def test_the_second_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        second = RunLock(tmp_path)
        said = f"xdist train (host {socket.gethostname()}, process {first.pid}, since "
        assert second.holder().startswith(said)
        with pytest.raises(UserError) as caught:
            second.take("xdist train")
        assert str(caught.value).startswith(f"{tmp_path}: {said}")
        assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert second.holder() == ""
    assert second.left_behind()
    second.check()
    assert not second.left_behind()
    record = second.take("xdist evaluate")
    assert not second.left_behind()
    with pytest.raises(BusyError):
        RunLock(tmp_path).check()
    assert record == RunLock(tmp_path).record() == json.loads((tmp_path / ".lock").read_text())
    assert record["pid"] == os.getpid()
    second.release()
    assert second.record() == {}


def test_released_it_is_free(tmp_path: Path) -> None:
    for _ in range(2):
        lock = RunLock(tmp_path / "new")
        lock.take("xdist train")
        with pytest.raises(UserError):
            RunLock(tmp_path / "new").take("xdist train")
        lock.release()
        lock.release()
        assert lock.holder() == ""


def test_looking_leaves_no_trace(tmp_path: Path) -> None:
    assert RunLock(tmp_path / "none").holder() == ""
    assert not RunLock(tmp_path / "none").left_behind()
    assert RunLock(tmp_path / "none").free()
    RunLock(tmp_path / "none").check()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("alive", [True, False])
def test_a_holder_on_another_host_is_known_by_its_beat(tmp_path: Path, alive: bool) -> None:
    """As on a file system that keeps locks to each machine: the kernel grants it, the file names another host."""
    file = tmp_path / ".lock"
    file.write_text(json.dumps({"what": "xdist train", "host": "node7", "pid": 12, "since": "noon"}))
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.02):
            os.utime(file)

    other = threading.Thread(target=beat)
    if alive:
        other.start()
    lock = RunLock(tmp_path, beat=0.1)
    started = time.monotonic()
    try:
        if alive:
            before = file.read_bytes()
            for refused in (lock.check, lambda: lock.take("xdist train")):
                with pytest.raises(BusyError, match=r"xdist train \(host node7, process 12, since noon\) is running here"):
                    refused()
            assert file.read_bytes() == before
        else:
            assert not lock.free()  # for all that can be said at once
            lock.check()
            assert time.monotonic() - started >= 0.4
            assert lock.free()
            lock.take("xdist train")  # without waiting again
            assert time.monotonic() - started < 0.8
    finally:
        over.set()
        if alive:
            other.join()
        lock.release()


@pytest.mark.parametrize("content", ["", "{torn", "{}"])
def test_a_torn_file_is_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / ".lock").write_text(content)
    lock = RunLock(tmp_path)
    lock.take("xdist train")
    lock.release()


def test_the_holder_touches_it(tmp_path: Path) -> None:
    lock = RunLock(tmp_path, beat=0.01)
    lock.take("xdist train")
    file = tmp_path / ".lock"
    os.utime(file, (1, 1))
    deadline = time.monotonic() + 20
    while file.stat().st_mtime < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    lock.release()


@pytest.mark.parametrize("content", ["", "{torn", "{}"])
def test_who_is_free(tmp_path: Path, content: str) -> None:
    (tmp_path / ".lock").write_text(content)
    assert RunLock(tmp_path).free()
    held = RunLock(tmp_path)
    held.take("xdist train")
    assert not RunLock(tmp_path).free()
    held.release()
    assert RunLock(tmp_path).free()


def test_without_room_it_is_not_held(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(RunError, match="cannot be written to: File too large"):
            RunLock(tmp_path).take("xdist train")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert RunLock(tmp_path).free()
    lock = RunLock(tmp_path)
    lock.take("xdist train")
    lock.release()


@pytest.mark.parametrize("way", ["removed", "renamed", "made anew"])
def test_a_holder_hears_that_its_folder_is_gone(tmp_path: Path, way: str) -> None:
    folder, heard = tmp_path / "run", threading.Event()
    lock = RunLock(folder, beat=0.05)
    lock.take("xdist train", heard.set)
    assert not heard.wait(0.3)
    if way == "renamed":
        folder.rename(tmp_path / "other")
    else:
        shutil.rmtree(folder)
    if way == "made anew":
        folder.mkdir()
        (folder / ".lock").touch()
    assert heard.wait(20)
    lock.release()
