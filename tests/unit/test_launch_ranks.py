"""The processes of a run on one machine: how they end together, and which code comes out."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xdist.launch import ranks

# The launcher, less patient than it is.
STARTS = (
    "import sys\nfrom xdist.launch import ranks\nranks.GRACE = ranks.PATIENCE = 0.3\nsys.exit(ranks.main(2, *sys.argv[1:]))"
)
WORKS = """import os, signal, sys, time
from pathlib import Path
end, place, rank = sys.argv[1], Path(sys.argv[2]), os.environ["RANK"]
heard = []
for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
    signal.signal(number, lambda number, frame: heard.append(number))
(place / rank).touch()

def wait(over):
    while not over():
        time.sleep(0.02)

wait(lambda: (place / "0").exists() and (place / "1").exists())
if end == "is asked":
    wait(lambda: heard)
    time.sleep(0.3)
    sys.exit(heard != [signal.SIGTERM])
if end != "finishes" and rank == "0":
    wait(lambda: heard and end != "fails beside a deaf one")
if end == "is killed":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(2 if end.startswith("fails") else 0)
"""


def begun(place: Path, end: str) -> "subprocess.Popen[str]":
    (place / "works.py").write_text(WORKS)
    words = [sys.executable, "-c", STARTS, str(place / "works.py"), end, str(place)]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    "end, code, said",
    [
        ("finishes", 0, ""),
        ("fails", 2, ""),
        ("fails beside a deaf one", 2, ""),
        ("is killed", 137, "xdist: rank 1 was ended by SIGKILL\n"),
    ],
)
def test_a_rank_that_fails_ends_the_others(tmp_path: Path, end: str, code: int, said: str) -> None:
    process = begun(tmp_path, end)
    assert process.communicate(timeout=30)[1] == said
    assert process.returncode == code


def test_requests_to_stop_are_handed_on_but_for_the_terminals_own(tmp_path: Path) -> None:
    process = begun(tmp_path, "is asked")
    while not ((tmp_path / "0").exists() and (tmp_path / "1").exists()):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)  # a terminal sends it to the ranks as well
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_an_end_by_a_signal_is_told_from_one_for_want_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    now = ranks.short_of_memory()
    assert [ranks.ended_by(code, now) for code in (0, 1, 2, 75)] == [""] * 4
    assert ranks.ended_by(-signal.SIGTERM, now) == ranks.ended_by(128 + signal.SIGTERM, now) == "ended by SIGTERM"
    monkeypatch.setattr(ranks, "short_of_memory", lambda: now + 1)
    assert ranks.ended_by(-signal.SIGKILL, now) == "ended by SIGKILL, by the kernel for want of memory"
    assert ranks.ended_by(-signal.SIGTERM, now) == "ended by SIGTERM"
