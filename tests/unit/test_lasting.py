"""Output that cannot be written ends nothing, and corrupts no exit code."""

import errno
import io
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xdist.run.lasting import Lasting, inform_launcher, lasting

# Prints, waits until a signal says that its terminal or pipe has gone, prints much more, and ends well.
PROGRAM = """import sys
from pathlib import Path
from xdist.run.lasting import lasting
with lasting():
    print("begun", flush=True)
    sys.stdin.readline()
    for _ in range(3000):
        print("still here", flush=True)
        print("and on stderr", file=sys.stderr)
Path(sys.argv[1]).write_text("ended well")
"""


def test_a_terminal_that_goes_away_ends_nothing(tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    program = f"import fcntl, termios\nfcntl.ioctl(1, termios.TIOCSCTTY, 0)\n{PROGRAM}"  # its controlling terminal
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "done")],
        stdin=subprocess.PIPE,
        stdout=end,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    assert os.read(terminal, 100).startswith(b"begun")
    os.close(terminal)  # the kernel sends SIGHUP to the session
    process.communicate(b"\n", timeout=60)
    assert process.returncode == 0
    assert (tmp_path / "done").read_text() == "ended well"


def test_a_pipe_that_nobody_reads_ends_nothing(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / "done")]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=writing, stderr=writing)
    os.close(writing)
    assert os.read(reading, 100).startswith(b"begun")
    os.close(reading)
    process.send_signal(signal.SIGHUP)
    process.communicate(b"\n", timeout=60)
    assert process.returncode == 0
    assert (tmp_path / "done").exists()


def test_a_log_without_room_ends_nothing(tmp_path: Path) -> None:
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / "done")]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=full, stderr=full, timeout=60, check=False)
    assert done.returncode == 0
    assert (tmp_path / "done").exists()


def test_streams_and_signals_come_back() -> None:
    before = sys.stdout, sys.stderr, signal.getsignal(signal.SIGHUP)
    with lasting():
        assert isinstance(sys.stdout, Lasting)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    assert (sys.stdout, sys.stderr, signal.getsignal(signal.SIGHUP)) == before


def test_a_letter_that_the_terminal_lacks_is_written_with_others() -> None:
    raw = io.BytesIO()
    stream = Lasting(io.TextIOWrapper(raw, encoding="ascii"))
    stream.write("Zürich \u2026\n")
    stream.flush()
    assert raw.getvalue() == b"Z\\xfcrich \\u2026\n"


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_has_no_room_in_the_log_goes_to_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    from xdist.run import lasting as module

    reading, writing = os.pipe()
    monkeypatch.setenv(module.PIPE, str(writing))
    module._pipe.cache_clear()
    try:
        Lasting(Full()).write("xdist: why it broke")
        inform_launcher(text="x" * 100_000)
        messages = [json.loads(line) for line in os.read(reading, 1 << 20).splitlines()]
        assert messages[0] == {"text": "xdist: why it broke"}
        assert 0 < len(messages[1]["text"]) < module.LONGEST
        for _ in range(100):  # there is no reader: it is not waited for
            inform_launcher(text="y" * 3000)
    finally:
        module._pipe.cache_clear()
        os.close(reading)
        os.close(writing)


def test_another_file_under_the_pipes_number_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xdist.run import lasting as module

    with (tmp_path / "file").open("w") as file:
        monkeypatch.setenv(module.PIPE, str(file.fileno()))
        module._pipe.cache_clear()
        inform_launcher(text="lost")
        module._pipe.cache_clear()
    assert (tmp_path / "file").read_text() == ""
