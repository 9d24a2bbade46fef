"""Ranks that die, freeze or fall silent are named by the others, in seconds here, with their own processes."""

import inspect
import signal
import socket
import time
from pathlib import Path

import pytest
import yaml
from distributed.group import process
from loaded import Process

from xdist.run import aborting, distributed, heartbeat
from xdist.run.folder import RunFolder

GRACE_OF_ALL = heartbeat.GRACE + 3 * heartbeat.BEAT  # from when one has seen a death to when all have ended

# A rank that beats until it reads a line: "done", or "leave", as one does that has said what is wrong. Words: a run's
# description or "", and `elsewhere` where ranks seem to be on separate hosts.
PROGRAM = """
import os, sys
from pathlib import Path
import torch.distributed as dist
from xdist.run import heartbeat
def over(end):
    print(end.dead, flush=True)
    os._exit(10 + end.code)
if "elsewhere" in sys.argv:
    host = heartbeat.socket.gethostname() + os.environ["RANK"]
    heartbeat.socket.gethostname = lambda: host
if sys.argv[1].endswith(".yaml"):
    from xdist.config import load_run
    from xdist.run import worker
    from xdist.run.folder import RunFolder
    from xdist.run.together import on_first
    run = load_run(Path(sys.argv[1]))
    worker.started_for(run)
    worker.claim(RunFolder(run.folder), "xdist train", bool)
    on_first(lambda: RunFolder(run.folder).open(run, None, {}))
    over = worker.end_for
else:
    dist.init_process_group("gloo")
heartbeat.GRACE = 0.2
beats = heartbeat.Heartbeat(over, beat=0.1, silence=2.0)
if "aborts" in sys.argv:
    import ctypes, threading
    from xdist.run import aborting
    def wait_and_abort():  # as NCCL's watchdog does, in a thread, as soon as a peer is gone
        other = Path("/proc", beats._who[1 - dist.get_rank()][1])
        while (other / "cmdline").exists() and (other / "cmdline").read_bytes():
            pass
        ctypes.CDLL(None).abort()
    aborting.HOLD = 5.0
    threading.Thread(target=wait_and_abort, daemon=True).start()
print("beating", flush=True)
word = sys.stdin.readline()
if word == "leave\\n":
    heartbeat.tell(2)
    os._exit(2)
if word == "abort\\n":
    ctypes.CDLL(None).abort()
beats.finish()
dist.destroy_process_group()
"""


def ranks(*words: str) -> list[Process]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(sock.getsockname()[1]), "WORLD_SIZE": "2"}
    started = [process(PROGRAM, *words, stderr=True, RANK=str(rank), **where) for rank in range(2)]
    for one in started:
        for line in one.stdout:  # DeepSpeed has something to say before
            if line == "beating\n":
                break
        else:
            assert one.stderr
            raise AssertionError(one.stderr.read())
    return started


def say(one: Process, word: str) -> None:
    one.stdin.write(f"{word}\n")
    one.stdin.flush()


def end(started: list[Process]) -> None:
    for one in started:
        one.close()


@pytest.mark.parametrize(
    "dead, said",
    [
        (1, "its process is gone"),
        (0, ""),
    ],
)
def test_the_survivor_names_the_dead(dead: int, said: str) -> None:
    started = ranks("")
    try:
        started[dead].send_signal(signal.SIGKILL)
        survivor = started[1 - dead]
        assert survivor.wait(timeout=60) == 11
        line = survivor.stdout.read()
        assert line.startswith(f"rank {dead} on host {socket.gethostname()} (process {started[dead].pid}) died: {said}")
    finally:
        end(started)


@pytest.mark.parametrize(
    "frozen, why", [(0, "no answer from the process group's store for 2 s"), (1, "no sign of life for 2 s")]
)
def test_who_is_stopped_for_good_is_named_in_the_folder(tmp_path: Path, frozen: int, why: str) -> None:
    """Rank 0 holds the store, which does not answer either. Ranks on separate hosts do not see each other's processes."""
    started = ranks(str(described(tmp_path)), "elsewhere")
    try:
        folder = RunFolder(tmp_path / "run")
        assert folder.state == "running"
        started[frozen].send_signal(signal.SIGSTOP)
        survivor = started[1 - frozen]
        assert survivor.wait(timeout=60) == 1
        assert survivor.stderr is not None
        line = f"rank {frozen} on host {socket.gethostname()}{frozen} (process {started[frozen].pid}) died: {why}"
        assert survivor.stderr.read().splitlines()[-1] == f"xdist: {line}; ending rank {1 - frozen}"
        assert (folder.state, folder.reason()) == ("failed", line)
    finally:
        end(started)


def described(place: Path) -> Path:
    """The description of a run in `place`/run."""
    values = {"name": "a", "folder": str(place / "run"), "model": {"backbone": "x"}, "data": {"root": "benchmark"}}
    (place / "run.yaml").write_text(yaml.safe_dump({**values, "train": {"tasks": [{"task": "xnli"}], "steps": 5}}))
    return place / "run.yaml"


def test_a_watchdog_that_aborts_is_held_until_the_dead_is_named(tmp_path: Path) -> None:
    started = ranks(str(described(tmp_path)), "aborts")
    try:
        started[1].send_signal(signal.SIGKILL)
        assert started[0].wait(timeout=60) == 1
        line = f"rank 1 on host {socket.gethostname()} (process {started[1].pid}) died: its process is gone"
        folder = RunFolder(tmp_path / "run")
        assert (folder.state, folder.reason()) == ("failed", line)
    finally:
        end(started)


def test_an_abort_of_its_own_is_marked_and_ends_the_others(tmp_path: Path) -> None:
    started = ranks(str(described(tmp_path)), "aborts")
    try:
        say(started[0], "abort")
        assert started[0].wait(timeout=60) == 128 + signal.SIGABRT
        assert started[1].wait(timeout=60) == 1
        folder = RunFolder(tmp_path / "run")
        assert folder.reason().startswith("rank 0 was aborted (SIGABRT)")
    finally:
        end(started)


def test_the_last_barrier_is_watched() -> None:
    """One is done, the other one is stopped for good on the way there."""
    started = ranks("", "elsewhere")
    try:
        started[1].send_signal(signal.SIGSTOP)
        say(started[0], "done")
        assert started[0].wait(timeout=60) == 11
        assert f"(process {started[1].pid}) died: no sign of life" in started[0].stdout.read()
    finally:
        end(started)


def test_a_collective_waits_longer_than_a_dead_rank_takes_to_be_named() -> None:
    waits = inspect.signature(distributed.init).parameters["timeout_minutes"].default * 60
    assert heartbeat.SILENCE + GRACE_OF_ALL < aborting.HOLD < waits


def test_ranks_that_were_stopped_or_are_done_blame_nobody() -> None:
    """All are stopped for longer than the silence that is allowed, and resume at different times."""
    started = ranks("")
    try:
        for one in started:
            one.send_signal(signal.SIGSTOP)
        time.sleep(3)
        for one in started:
            one.send_signal(signal.SIGCONT)
            time.sleep(0.7)
        time.sleep(2)
        for one in started:
            say(one, "done")
            time.sleep(0.5)
        for one in started:
            assert one.wait(timeout=60) == 0
            assert one.stdout.read() == ""
    finally:
        end(started)


@pytest.mark.parametrize("rank", [0, 1])
def test_who_leaves_with_a_word_is_followed_in_silence(rank: int) -> None:
    started = ranks("")
    try:
        say(started[rank], "leave")
        assert started[rank].wait(timeout=60) == 2
        other = started[1 - rank]
        assert other.wait(timeout=60) == 12
        assert other.stdout.read() == "\n"
    finally:
        end(started)
