"""Launching on this machine: requests to stop, and what is said of a start that dies without a word."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from resolved_of import resolved_of

from xdist.config import Run
from xdist.errors import BusyError, UserError
from xdist.launch import local, prepared
from xdist.launch.status import log_command
from xdist.resolve import preparing
from xdist.run.folder import RunFolder
from xdist.run.lock import RunLock
from xdist.study.runners import _at_work
from xdist.study.running import only_runner

# A rank that ends as soon as it is asked to.
RANK = """import sys, time
from pathlib import Path
from xdist.run.folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
(folder.path / "started").touch()
while not folder.stop.exists():
    time.sleep(0.02)
if sys.argv[2] == "answers":
    folder.mark("unfinished")
else:
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    found = RunFolder(tmp_path / "run")
    found.path.mkdir()
    found.config.write_text("")
    return found


def signalled(folder: RunFolder, times: int) -> threading.Thread:
    """Send SIGTERM to this process once the rank has started, and again until it has been sent often enough."""

    def send() -> None:
        while not (folder.path / "started").exists():
            time.sleep(0.02)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.3)

    sender = threading.Thread(target=send)
    sender.start()
    return sender


@pytest.mark.parametrize("word, times, code", [("answers", 1, 75), ("is deaf", 2, 1)])
def test_the_first_signal_asks_and_the_second_kills(
    folder: RunFolder, word: str, times: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.stop.touch()  # of an earlier start: else this rank would end before it is asked to
    sender = signalled(folder, times)
    assert local.supervise([sys.executable, "-c", RANK, str(folder.path), word], dict(os.environ), folder) == code
    sender.join()
    said = capsys.readouterr().err
    assert "older than this start, removed" in said
    assert "the ranks finish their step and save" in said
    again = "ended at once by a second SIGTERM: the steps since the last save will be repeated"
    assert (folder.state, folder.reason()) == (("unfinished", "") if code == 75 else ("failed", again))


def test_where_no_file_can_be_put_the_launcher_is_asked(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full."""
    program = "import signal, sys\nfrom pathlib import Path\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    program += "(Path(sys.argv[1]) / 'started').touch()\nsignal.pause()"
    folder.mark("unfinished")  # what the ranks have saved
    plain = Path.touch

    def touch(self: Path) -> None:
        if self == folder.stop:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(self)

    monkeypatch.setattr(Path, "touch", touch)
    sender = signalled(folder, 1)
    assert local.supervise([sys.executable, "-c", program, str(folder.path)], dict(os.environ), folder) == 75
    sender.join()


def test_ranks_that_outlive_their_launcher_are_waited_for(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    program = "import os, signal, subprocess, sys\nsubprocess.Popen([sys.executable, '-c', *sys.argv[1:]])\n"
    program += "os.kill(os.getpid(), signal.SIGKILL)"
    words = [sys.executable, "-c", program, RANK, str(folder.path), "answers"]
    sender = signalled(folder, 1)
    assert local.supervise(words, dict(os.environ), folder) == 75
    sender.join()
    assert "xdist: the launcher was ended by SIGKILL; its ranks continue, waiting for them" in capsys.readouterr().err


def test_ranks_that_end_without_a_word_leave_a_reason(folder: RunFolder) -> None:
    program = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    assert local.supervise([sys.executable, "-c", program], dict(os.environ), folder) == 1
    assert (folder.state, folder.reason()) == ("failed", "ended by SIGKILL")


def test_what_ranks_say_is_shown_and_kept_for_logs(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.mark("finished")
    for text in ("first life", "second life, ü"):
        words = [sys.executable, "-c", f"import sys; print({text!r}, file=sys.stderr); print('on stdout', flush=True)"]
        assert local.supervise(words, dict(os.environ), folder) == 0
        assert set(capsys.readouterr().err.splitlines()) == {"on stdout", text}
    lines = folder.log.read_text().splitlines()
    assert [line for line in lines if not line.startswith("---")].count("on stdout") == 2
    assert {"first life", "second life, ü"} < set(lines)
    shown = subprocess.run(log_command(folder.path, 100, follow=False), capture_output=True, text=True, check=True).stdout
    assert shown == folder.log.read_text()


def test_a_folder_that_takes_no_log_is_said_all_the_same(
    folder: RunFolder, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.log.mkdir()
    folder.mark("finished")
    assert local.supervise([sys.executable, "-c", "print('said')"], dict(os.environ), folder) == 0
    assert "said\n" in capfd.readouterr().out


def test_a_start_whose_ranks_do_not_work_yet_ends_at_once(folder: RunFolder) -> None:
    folder.config.unlink()
    sender = signalled(folder, 1)
    assert local.supervise([sys.executable, "-c", RANK, str(folder.path), "is deaf"], dict(os.environ), folder) == 1
    sender.join()
    assert not folder.stop.exists()  # it would be all that there is in the folder


def test_a_start_that_dies_early_does_not_show_an_old_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = {"tasks": [{"task": "xnli"}], "steps": 5}
    values = {"name": "a", "folder": tmp_path / "run", "model": {"backbone": "x"}, "data": {"root": tmp_path}}
    run = Run.model_validate({**values, "train": train})
    folder = RunFolder(run.folder)
    folder.announce(run)
    folder.mark("failed", "the disk was full")
    monkeypatch.setattr(prepared, "prepare", lambda *_: None)
    monkeypatch.setattr(preparing, "preparation_of", lambda *_: None)
    monkeypatch.setattr(local, "command", lambda *_: [sys.executable, "-c", "raise SystemExit(3)"])
    assert prepared.launch("train", resolved_of(run), tmp_path / "run.yaml", ()) == local.BROKEN
    assert "a failed: see above" in capsys.readouterr().err


def test_a_run_at_work_is_not_launched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"name": "a", "folder": tmp_path / "run", "model": {"backbone": "x"}, "data": {"root": tmp_path}}
    run = Run.model_validate({**values, "train": {"tasks": [{"task": "xnli"}], "steps": 5}})
    folder, lock = RunFolder(run.folder), RunLock(run.folder)
    folder.announce(run)
    lock.take("xdist train")
    folder.stop.touch()
    before = {path: path.read_bytes() for path in folder.path.iterdir()}
    monkeypatch.setattr(prepared, "prepare", lambda *_: None)
    monkeypatch.setattr(preparing, "preparation_of", lambda *_: None)
    monkeypatch.setattr(local, "command", lambda *_: pytest.fail("nothing is to be started"))
    with pytest.raises(BusyError, match=f"process {os.getpid()}, since .* is running here"):
        prepared.launch("train", resolved_of(run), tmp_path / "run.yaml", ())
    assert before == {path: path.read_bytes() for path in folder.path.iterdir()}
    lock.release()


def test_ranks_of_an_earlier_start_are_told_from_others_that_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "a" / "xdist").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "xdist" / "train.py").write_text("import time; print(flush=True); time.sleep(60)")
    one = (tmp_path / "a", [sys.executable, "xdist/train.py", "descriptions/r.yaml"])  # of a study elsewhere
    other = (tmp_path / "b", [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", "descriptions/r.yaml"])
    processes = [subprocess.Popen(words, cwd=place, stdout=subprocess.PIPE) for place, words in (one, other)]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        before = os.getcwd()
        try:
            for place, working in ((tmp_path / "a", True), (tmp_path / "b", False)):
                os.chdir(place)
                assert _at_work(Path("descriptions/r.yaml")) is working
        finally:
            os.chdir(before)
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize("locks", [True, False])
def test_a_study_is_run_once_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool) -> None:
    """Also where the file system keeps no locks."""

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    if not locks:
        monkeypatch.setattr(fcntl, "flock", none)
    for _ in range(2):
        with (
            only_runner(tmp_path),
            pytest.raises(UserError, match=r"xdist study \(host .*\) is running here"),
            only_runner(tmp_path),
        ):
            pass


def test_a_second_start_takes_no_request_to_stop_from_the_first(folder: RunFolder) -> None:
    first = RunLock(folder.path)
    first.take("xdist train")
    folder.stop.touch()
    assert local.supervise([sys.executable, "-c", "raise SystemExit(2)"], dict(os.environ), folder) == local.USER_ERROR
    assert folder.stop.exists()
    first.release()
