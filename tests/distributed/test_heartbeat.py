"""Ranks that die or fall silent are named by the others, in seconds here, with processes of their own."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

PROGRAM = """
import os, sys, time
import torch.distributed as dist
from xdist.runtime import heartbeat
dist.init_process_group("gloo")
def over(line):
    print(line, flush=True)
    os._exit(3)
if "elsewhere" in sys.argv:
    host = heartbeat.socket.gethostname() + os.environ["RANK"]
    heartbeat.socket.gethostname = lambda: host
heartbeat.GRACE = 0.2
beats = heartbeat.Heartbeat(over, beat=0.1, silence=2.0)
print("beating", flush=True)
sys.stdin.readline()
beats.stop()
dist.barrier()
dist.destroy_process_group()
"""


def ranks(*words: str) -> list[subprocess.Popen[str]]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(sock.getsockname()[1]), "WORLD_SIZE": "2"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, *words], env={**os.environ, **where, "RANK": str(rank)}, **pipes)  # type: ignore[call-overload]
        for rank in range(2)
    ]
    for process in started:
        assert process.stdout.readline() == "beating\n"
    return started


@pytest.mark.parametrize(
    "dead, how, words, said",
    [
        (1, signal.SIGKILL, (), "its process is gone"),
        (0, signal.SIGKILL, (), ""),
        (1, signal.SIGSTOP, ("elsewhere",), "no sign of life for 2 s"),
    ],
)
def test_the_survivor_names_the_dead(dead: int, how: signal.Signals, words: tuple[str, ...], said: str) -> None:
    started = ranks(*words)
    try:
        started[dead].send_signal(how)
        survivor = started[1 - dead]
        assert survivor.wait(timeout=60) == 3
        assert survivor.stdout is not None
        host = socket.gethostname() + (str(dead) if words else "")
        line = survivor.stdout.read()
        assert line.startswith(f"rank {dead} on host {host} (process {started[dead].pid}) died: {said}")
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_ranks_that_are_done_blame_nobody() -> None:
    started = ranks()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(0.5)
    for process in started:
        assert process.wait(timeout=60) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""
