"""Which processes of this machine are alive."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xdist.run.living import group_alive, is_alive

# As every killed process of several threads is for a moment: its first thread has ended, another holds its files.
ENDS_IN_PART = """
import ctypes, fcntl, sys, threading
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
threading.Thread(target=sys.stdin.read).start()
print("locked", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.fixture
def ending(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", ENDS_IN_PART, str(tmp_path / "lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        yield process
        process.kill()


def test_a_process_is_alive_until_its_last_thread_has_ended_since_it_holds_its_locks_so_long(
    ending: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert ending.stdout
    assert ending.stdin
    assert ending.stdout.readline() == "locked\n"
    while Path(f"/proc/{ending.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
        pass
    with (tmp_path / "lock").open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    assert is_alive(ending.pid)
    assert group_alive(ending.pid)
    ending.stdin.close()
    while is_alive(ending.pid):
        pass
    with (tmp_path / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    assert not group_alive(ending.pid)  # although it was not waited for


def test_who_runs_is_alive_and_a_number_of_nobody_is_not() -> None:
    assert is_alive(os.getpid())
    assert group_alive(os.getpgid(0))
    assert is_alive(2**22 + 1) is False
