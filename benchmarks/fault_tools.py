"""What the fault campaign hurts runs with: signals, a library that fails calls of the system, terminals, cables."""

import fcntl
import os
import pty
import random
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xdist.checkpoint import tags
from xdist.run.living import is_alive

# Calls of the system that fail as a disk or a file system makes them fail, for paths that contain FAIL_IN:
# FAIL_FULL names a file: as long as it exists, nothing can be written. FAIL_LOCKS: there are no locks. FAIL_KILL=n: the n-th
# time that a process gives a file its name there, its complete group is killed before. FAIL_SLOW=n: every write takes n ms
# more.
SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
static int in_place(int fd) {
    const char *place = getenv("FAIL_IN");
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = place ? readlink(link, path, sizeof path - 1) : -1;
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, place) != NULL;
}
static int full(int fd) {
    int before = errno;
    const char *flag = getenv("FAIL_FULL");
    int is = flag && !access(flag, F_OK) && in_place(fd);
    errno = is ? ENOSPC : before;
    return is;
}
static void slow(int fd) {
    const char *more = getenv("FAIL_SLOW");
    if (more && in_place(fd)) usleep(1000 * atoi(more));
}
#define WRITES(name, parameters, arguments) \
    ssize_t name parameters { \
        static ssize_t (*real) parameters; \
        if (!real) real = dlsym(RTLD_NEXT, #name); \
        slow(fd); \
        return full(fd) ? -1 : real arguments; \
    }
WRITES(write, (int fd, const void *data, size_t size), (fd, data, size))
WRITES(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
WRITES(pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
WRITES(pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
int flock(int fd, int how) {
    static int (*real)(int, int);
    if (!real) real = dlsym(RTLD_NEXT, "flock");
    if (getenv("FAIL_LOCKS") && in_place(fd)) { errno = ENOLCK; return -1; }
    return real(fd, how);
}
int rename(const char *old, const char *new) {
    static int (*real)(const char *, const char *);
    static int count;
    const char *place = getenv("FAIL_IN"), *at = getenv("FAIL_KILL");
    if (!real) real = dlsym(RTLD_NEXT, "rename");
    if (at && place && strstr(new, place) && ++count == atoi(at)) kill(0, SIGKILL);
    return real(old, new);
}
"""


def failing(folder: Path) -> Path:
    """The library, compiled in `folder`."""
    library = folder / "failing.so"
    words = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), "-x", "c", "-", "-ldl"]
    subprocess.run(words, input=SOURCE, text=True, check=True)
    return library


def in_terminal(command: list[str], variables: dict[str, str]) -> tuple["subprocess.Popen[bytes]", int]:
    """The command with its own terminal, and the end of it that a terminal program has; closed, the terminal is gone."""
    window, end = pty.openpty()

    def control() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    pipes = {"stdin": end, "stdout": end, "stderr": end}
    process = subprocess.Popen(command, env=variables, start_new_session=True, preexec_fn=control, **pipes)
    os.close(end)
    return process, window


class Hosts:
    """Two network namespaces with a cable between them; needs the right to make them."""

    def __init__(self) -> None:
        self.names = [f"xdist{os.getpid()}h{number}" for number in range(2)]

    def start(self, path: Path, log: Path) -> list["subprocess.Popen[bytes]"]:
        """The run at `path` by the workers' way in, a rank on each host."""
        where = {"MASTER_ADDR": "10.92.0.1", "MASTER_PORT": "29511", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_SIZE": "1"}
        script = Path(__file__).resolve().parents[1] / "xdist" / "train.py"
        started = []
        for rank, name in enumerate(self.names):
            variables = {**os.environ, **where, "RANK": str(rank), "GLOO_SOCKET_IFNAME": f"e{rank}", "OMP_NUM_THREADS": "1"}
            words = ["nsenter", f"--net=/run/netns/{name}", sys.executable, str(script), str(path)]
            with log.open("ab") as file:
                started.append(subprocess.Popen(words, env=variables, stdout=file, stderr=file, start_new_session=True))
        return started

    def cut(self) -> None:
        _ip("-n", self.names[0], "link", "set", "e0", "down")

    @contextmanager
    def there(self) -> Iterator["Hosts"]:
        try:
            for name in self.names:
                _ip("netns", "add", name)
            _ip("link", "add", "e0", "netns", self.names[0], "type", "veth", "peer", "name", "e1", "netns", self.names[1])
            for number, name in enumerate(self.names):
                _ip("-n", name, "addr", "add", f"10.92.0.{number + 1}/24", "dev", f"e{number}")
                _ip("-n", name, "link", "set", "lo", "up")
                _ip("-n", name, "link", "set", f"e{number}", "up")
            yield self
        finally:
            for name in self.names:
                subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def ranks_of(folder: Path) -> list[int]:
    """The processes of the ranks that work on the run in `folder`, by rank."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            if any(word.endswith("xdist/train.py") for word in words[:4]) and f"{folder}.yaml" in words:
                variables = dict(pair.split("=", 1) for pair in (entry / "environ").read_text().split("\0") if "=" in pair)
                if "LOCAL_RANK" in variables:
                    found[int(variables["RANK"])] = int(entry.name)
        except (OSError, ValueError):
            continue
    return [found[rank] for rank in sorted(found)]


def parent_of(pid: int) -> int:
    return int(Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()[1])


def kill(folder: Path) -> None:
    """SIGKILL to everything that names the run's YAML: ranks and launchers."""
    for entry in Path("/proc").iterdir():
        try:
            if f"{folder}.yaml".encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
        except (OSError, ValueError):
            continue


def all_gone(pids: list[int], seconds: float) -> bool:
    """Whether these processes end within this many seconds; those that were not waited for have ended."""
    until = time.monotonic() + seconds
    while any(is_alive(pid) for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def damage(checkpoints: Path, kind: str, draw: random.Random) -> None:
    """Hurt a random file of the newest tag, the manifest among them."""
    found = tags.list_tags(checkpoints)
    if not found:
        return
    file = draw.choice(sorted(path for path in found[-1].path.rglob("*") if path.is_file()))
    content = bytearray(file.read_bytes())
    if kind == "remove":
        file.unlink()
    elif kind == "cut":
        file.write_bytes(content[: draw.randrange(len(content))])
    else:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        file.write_bytes(content)
