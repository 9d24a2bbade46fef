"""Ranks that die, freeze or fall silent are named by the others, in seconds here, with processes of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from xdist.run.folder import RunFolder

# A rank that beats until it reads a line: "done", or "leave", as one does that has said what is wrong. Words: a run's
# description or "", and `elsewhere` where ranks seem to be on hosts of their own.
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
print("beating", flush=True)
if sys.stdin.readline() == "leave\\n":
    heartbeat.tell(2)
    os._exit(2)
beats.stop()
dist.barrier()
dist.destroy_process_group()
"""


def ranks(*words: str) -> list[subprocess.Popen[str]]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(sock.getsockname()[1]), "WORLD_SIZE": "2"}
    variables = {**os.environ, **where, "DS_ACCELERATOR": "cpu"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, *words], env={**variables, "RANK": str(rank)}, **pipes)  # type: ignore[call-overload]
        for rank in range(2)
    ]
    for process in started:
        for line in process.stdout:  # DeepSpeed has something to say before
            if line == "beating\n":
                break
        else:
            raise AssertionError(process.stderr.read())
    return started


def say(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{word}\n")
    process.stdin.flush()


def end(started: list[subprocess.Popen[str]]) -> None:
    for process in started:
        process.kill()
        process.communicate()


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
        assert survivor.stdout is not None
        line = survivor.stdout.read()
        assert line.startswith(f"rank {dead} on host {socket.gethostname()} (process {started[dead].pid}) died: {said}")
    finally:
        end(started)


@pytest.mark.parametrize(
    "frozen, why", [(0, "no answer from the process group's store for 2 s"), (1, "no sign of life for 2 s")]
)
def test_who_is_stopped_for_good_is_named_in_the_folder(tmp_path: Path, frozen: int, why: str) -> None:
    """Rank 0 holds the store, which does not answer either. Ranks on hosts of their own do not see each other's processes."""
    description = tmp_path / "run.yaml"
    values = {"name": "a", "folder": str(tmp_path / "run"), "model": {"backbone": "x"}, "data": {"root": "benchmark"}}
    description.write_text(yaml.safe_dump({**values, "train": {"tasks": [{"task": "xnli"}], "steps": 5}}))
    started = ranks(str(description), "elsewhere")
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


def test_ranks_that_were_stopped_or_are_done_blame_nobody() -> None:
    """All are stopped for longer than the silence that is allowed, and go on at different times."""
    started = ranks("")
    try:
        for process in started:
            process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        for process in started:
            process.send_signal(signal.SIGCONT)
            time.sleep(0.7)
        time.sleep(2)
        for process in started:
            say(process, "done")
            time.sleep(0.5)
        for process in started:
            assert process.wait(timeout=60) == 0
            assert process.stdout is not None
            assert process.stdout.read() == ""
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
        assert other.stdout is not None
        assert other.stdout.read() == "\n"
    finally:
        end(started)
