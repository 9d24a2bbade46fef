"""The ranks of a run on this machine, each a process:

    python xdist/launch/ranks.py 2 xdist/train.py RUN.yaml [a.b=c …]

They get the environment as it is, CUDA_VISIBLE_DEVICES too, which DeepSpeed's launcher reads as numbers and replaces; and
starting them loads no library. A rank that fails ends the others, and its code becomes this program's. SIGTERM and SIGUSR1 are
passed on, so that ranks save and leave. SIGHUP, of a terminal that is closed, is ignored.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import types
from collections.abc import Sequence
from contextlib import suppress

USER_ERROR = 2  # the code of a rank that has said what the user did wrong
POLL = 0.1  # seconds
GRACE = 4.0  # seconds for the others to see by themselves that a rank has died, and to say so (xdist.run.heartbeat)
PATIENCE = 30.0  # seconds from SIGTERM to SIGKILL

PIPE = "XDIST_PIPE"  # the number of a pipe's end to hand on to the ranks (xdist.run.lasting)

Processes = Sequence["subprocess.Popen[bytes]"]


def main(ranks: int, *program: str) -> int:
    heard: list[int] = []

    def hear(number: int, _frame: types.FrameType | None) -> None:
        if number != signal.SIGINT:  # a terminal sends it to the ranks too, and the second one would end them unsaved
            heard.append(number)

    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, hear)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    short = short_of_memory()
    pipe = (int(os.environ[PIPE]),) if PIPE in os.environ else ()
    words = [sys.executable, "-u", *program]
    processes = [subprocess.Popen(words, env=variables, pass_fds=pipe) for variables in environments(ranks)]
    while running(processes) and first_failure(processes) is None:
        while heard:
            send(processes, heard.pop(0))
        time.sleep(POLL)
    rank, code = first_failure(processes) or (0, 0)
    if code < 0:
        say(f"xdist: rank {rank} was {ended_by(code, short)}")
    for number, seconds in ((signal.SIGTERM, 0 if code == USER_ERROR else GRACE), (signal.SIGKILL, PATIENCE)):
        until = time.monotonic() + seconds
        while running(processes) and time.monotonic() < until:
            time.sleep(POLL)
        send(processes, number)
    return code if code >= 0 else 128 - code


def environments(ranks: int) -> list[dict[str, str]]:
    """This process's environment for each rank, with where it is and where all meet."""
    with socket.socket() as heard, socket.socket() as caller:
        try:
            heard.bind(("127.0.0.1", 0))
            heard.listen()
            caller.connect(heard.getsockname())
        except OSError as error:  # no loopback: ranks would wait for each other for ever
            said = f"127.0.0.1: cannot be reached ({error.strerror}): enable the interface lo"
            sys.exit(f"xdist: {said}, or start the ranks by torchrun with MASTER_ADDR set to an address that can")
    with socket.socket() as sock:  # two runs on one machine must not meet at one port
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    # LOCAL_SIZE is what DeepSpeed's collective for CPUs goes by, LOCAL_WORLD_SIZE what programs made for torchrun do.
    sizes = dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE", "LOCAL_SIZE"), str(ranks))
    return [{**os.environ, **where, **sizes, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(ranks)]


def running(processes: Processes) -> bool:
    return any(process.poll() is None for process in processes)


def first_failure(processes: Processes) -> tuple[int, int] | None:
    """The first rank that has failed and its code, -N where signal N ended it."""
    return next(((rank, code) for rank, process in enumerate(processes) if (code := process.poll())), None)


def send(processes: Processes, number: int) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)


def say(text: str) -> None:
    """Where it can be said: a log may be on a disk that is full, a terminal may be gone."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def ended_by(code: int, short: int) -> str:
    """How a process of this exit code was ended, where a signal did it, else ""; `short` is what `short_of_memory` was
    before."""
    number = -code if code < 0 else code - 128
    if not 0 < number < signal.NSIG:
        return ""
    name = signal.Signals(number).name
    memory = name == "SIGKILL" and short_of_memory() > short
    return f"ended by {name}{', by the kernel for want of memory' if memory else ''}"


def short_of_memory() -> int:
    """How many processes the kernel has ended so far because memory was short, on this machine or in this container."""
    for place in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        with suppress(OSError, ValueError), open(place, encoding="ascii") as file:
            found = dict(line.split() for line in file)
            if "oom_kill" in found:
                return int(found["oom_kill"])
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
