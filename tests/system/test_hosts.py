"""A run on two hosts, which are network namespaces with a cable between them: the launcher started on each as a user would by
hand, and over ssh from one of them."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tiny import tiny_benchmark, tiny_model
from typing_of_commands import Typed

from xdist.checkpoint import tags

pytestmark = pytest.mark.cluster

# On a separate host: its network, its name, names that resolve, and its own keys for ssh.
ON = """hostname "$0"
for file in hosts resolv.conf; do mount --bind "$D/$file" "/etc/$file"; done
[ ! -d /etc/ssh ] || mount --bind "$D/ssh" /etc/ssh
exec "$@"
"""
SSH = ("ssh", "ssh-keygen", "/usr/sbin/sshd", "pdsh")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a benchmark, an encoder and a run."""
    folder = tmp_path_factory.mktemp("hosts")
    tiny_benchmark(folder / "benchmark")
    run = {
        "name": "tiny",
        "folder": "runs/by-hand",
        "model": {"backbone": str(tiny_model(folder / "encoder", folder / "benchmark"))},
        "data": {"root": "benchmark", "cache": "prepared"},
        "train": {"tasks": [{"task": "cldr-topic"}], "steps": 6, "batch_size": 12, "learning_rate": 1e-3},
        "runtime": {"ranks": 2, "deepspeed": "zero1", "log_every": 1},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(run))
    for name, ssh in (("by-hand", False), ("ssh", True)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"kind": "hosts", "hosts": ["h0", "h1"], "ssh": ssh}))
    return folder


@pytest.fixture(scope="module")
def hosts(place: Path) -> Iterator[list[list[str]]]:
    """Words that start a command on host h0 and on host h1."""
    names = [f"xdist{os.getpid()}h{number}" for number in range(2)]
    try:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise OSError("no ip, or not root")
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", "e0", "netns", names[0], "type", "veth", "peer", "name", "e1", "netns", names[1])
        for number, name in enumerate(names):
            ip("-n", name, "addr", "add", f"10.91.0.{number + 1}/24", "dev", f"e{number}")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", f"e{number}", "up")
        (place / "hosts").write_text("127.0.0.1 localhost\n10.91.0.1 h0\n10.91.0.2 h1\n")
        (place / "resolv.conf").write_text("")
        (place / "ssh").mkdir()
        enter = [
            ["nsenter", f"--net=/run/netns/{name}", "unshare", "--uts", "--mount", "sh", "-c", ON, f"h{number}"]
            for number, name in enumerate(names)
        ]
        subprocess.run([*enter[0], "true"], env={**os.environ, "D": str(place)}, check=True, capture_output=True)
        yield enter
    except (OSError, subprocess.CalledProcessError) as error:
        if "XDIST_CI" in os.environ:
            raise
        pytest.skip(f"network namespaces are not allowed here: {error}")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["train/loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def here(typed: Typed, place: Path) -> list[float]:
    """The losses of two ranks on this machine."""
    local = typed("xdist", "train", "run.yaml", "folder=runs/here", cwd=place)
    assert local.returncode == 0, local.stderr
    assert len(losses(place / "runs/here")) == 6
    return losses(place / "runs/here")


def by_hand(typed: Typed, place: Path, hosts: list[list[str]], *words: str) -> list[subprocess.Popen[str]]:
    """The run started on each host."""
    done = typed("xdist", "submit", "run.yaml", "--cluster", "by-hand.yaml", *words, cwd=place)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["on h0", "on h1"]
    environment = {**os.environ, "D": str(place), "DS_ACCELERATOR": "cpu"}
    return [
        subprocess.Popen([*enter, "sh", "-c", line.split(": ", 1)[1]], env=environment, stderr=subprocess.PIPE, text=True)
        for enter, line in zip(hosts, lines, strict=True)
    ]


def ended(started: list[subprocess.Popen[str]], seconds: float) -> list[str]:
    """What each said until its end."""
    try:
        return [process.communicate(timeout=seconds)[1] for process in started]
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()


def test_two_hosts_give_the_losses_of_this_machine(
    typed: Typed, place: Path, hosts: list[list[str]], here: list[float]
) -> None:
    started = by_hand(typed, place, hosts)
    errors = ended(started, 400)
    assert [process.returncode for process in started] == [0, 0], errors
    assert tags.list_tags(place / "runs/by-hand/checkpoints")[-1].manifest["world"] == 2
    assert losses(place / "runs/by-hand") == here


def test_hosts_whose_cable_is_cut_end_within_a_minute(typed: Typed, place: Path, hosts: list[list[str]]) -> None:
    """Neither sees the process of the other, and no connection says that it is over."""
    folder = place / "runs/cut"
    started = by_hand(typed, place, hosts, "folder=runs/cut", "train.steps=100000")
    until = time.monotonic() + 200
    while not (folder / "metrics.jsonl").exists() or len(losses(folder)) < 3:
        assert all(process.poll() is None for process in started), ended(started, 1)
        assert time.monotonic() < until, ended(started, 1)
        time.sleep(0.1)
    name = f"xdist{os.getpid()}h1"
    ip("-n", name, "link", "set", "e1", "down")
    try:
        errors = ended(started, 60)
    finally:
        ip("-n", name, "link", "set", "e1", "up")
    assert [process.returncode for process in started] == [1, 1], errors
    said = "".join(errors)
    assert "xdist: rank 1 on host h1 (process " in errors[0] or "xdist: rank 0 on host h0 (process " in errors[1], errors
    assert "Traceback" not in said
    assert " died: no " in (folder / "failed").read_text()


@pytest.fixture
def sshd(place: Path, hosts: list[list[str]]) -> Iterator[None]:
    """A server on each host that lets in who has the key which both have."""
    if missing := [name for name in SSH if shutil.which(name) is None]:
        assert "XDIST_CI" not in os.environ, missing
        pytest.skip(f"no {', '.join(missing)}: apt-get install openssh-server pdsh")
    ssh = place / "ssh"
    for name in ("key", "id"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(ssh / name)], check=True)
    (ssh / "sshd_config").write_text(
        f"HostKey {ssh}/key\nAuthorizedKeysFile {ssh}/id.pub\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n"
    )
    (ssh / "ssh_config").write_text(f"IdentityFile {ssh}/id\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    environment = {**os.environ, "D": str(place)}
    started = [
        subprocess.Popen([*enter, "/usr/sbin/sshd", "-D", "-E", str(ssh / f"log-{number}")], env=environment)
        for number, enter in enumerate(hosts)
    ]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
            process.wait(timeout=30)


def test_one_host_starts_both_over_ssh(place: Path, hosts: list[list[str]], here: list[float], sshd: None) -> None:
    commands = Path(sys.executable).parent
    environment = {**os.environ, "D": str(place), "PATH": f"{commands}:{os.environ['PATH']}"}

    def on_h0(*words: str) -> subprocess.CompletedProcess[str]:
        line = [*hosts[0], str(commands / "xdist"), *words]
        return subprocess.run(line, capture_output=True, text=True, timeout=400, env=environment, cwd=place, check=False)

    seen = on_h0("doctor", "--cluster", "ssh.yaml", "--json")
    assert seen.returncode == 0, seen.stdout + seen.stderr
    said = [one["says"] for one in json.loads(seen.stdout) if one["check"] == "network"]
    assert said[0].startswith("h0 and h1: ")
    assert said[1].startswith("2 ranks on 2 nodes meet by gloo")
    (links,) = [one["says"] for one in json.loads(seen.stdout) if one["check"] == "interfaces"]
    assert links.startswith("the nodes reach each other by e0 on h0, e1 on h1; ")
    alone = on_h0("doctor", "--cluster", "ssh.yaml", "--json", "--set", "hosts=[h0, nowhere]")
    (bad,) = [one for one in json.loads(alone.stdout) if one["level"] == "bad"]
    assert (alone.returncode, bad["host"], bad["check"]) == (1, "nowhere", "network")

    done = on_h0("submit", "run.yaml", "--cluster", "ssh.yaml", "folder=runs/ssh")
    assert done.returncode == 0, done.stdout + done.stderr + "".join(path.read_text() for path in place.glob("ssh/log-*"))
    assert tags.list_tags(place / "runs/ssh/checkpoints")[-1].manifest["world"] == 2
    assert losses(place / "runs/ssh") == here
