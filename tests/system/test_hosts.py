"""A run on two hosts: network namespaces with a cable between them, the launcher started on each as a user would by hand."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tiny import tiny_benchmark, tiny_model
from typing_of_commands import Typed

from xdist.runtime import tags

# On a host of its own: its network, its name, and names that resolve.
ON = 'hostname "$0"; mount --bind "$D/hosts" /etc/hosts; mount --bind "$D/resolv.conf" /etc/resolv.conf; exec "$@"'


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[list[str]]]:
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
        (tmp_path / "hosts").write_text("127.0.0.1 localhost\n10.91.0.1 h0\n10.91.0.2 h1\n")
        (tmp_path / "resolv.conf").write_text("")
        enter = [
            ["nsenter", f"--net=/run/netns/{name}", "unshare", "--uts", "--mount", "sh", "-c", ON, f"h{number}"]
            for number, name in enumerate(names)
        ]
        subprocess.run([*enter[0], "true"], env={**os.environ, "D": str(tmp_path)}, check=True, capture_output=True)
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


def test_two_hosts_give_the_losses_of_this_machine(typed: Typed, tmp_path: Path, hosts: list[list[str]]) -> None:
    tiny_benchmark(tmp_path / "benchmark")
    run = {
        "name": "tiny",
        "folder": "runs/hosts",
        "model": {"backbone": str(tiny_model(tmp_path / "encoder", tmp_path / "benchmark"))},
        "data": {"root": "benchmark", "cache": "prepared"},
        "train": {"tasks": [{"task": "cldr-topic"}], "steps": 6, "batch_size": 12, "learning_rate": 1e-3},
        "runtime": {"ranks": 2, "deepspeed": "zero1", "log_every": 1},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    (tmp_path / "hosts.yaml").write_text(yaml.safe_dump({"kind": "hosts", "hosts": ["h0", "h1"], "ssh": False}))
    done = typed("xdist", "submit", "run.yaml", "--cluster", "hosts.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["on h0", "on h1"]
    environment = {**os.environ, "D": str(tmp_path), "DS_ACCELERATOR": "cpu"}
    started = [
        subprocess.Popen([*enter, "sh", "-c", line.split(": ", 1)[1]], env=environment, stderr=subprocess.PIPE, text=True)
        for enter, line in zip(hosts, lines, strict=True)
    ]
    try:
        errors = [process.communicate(timeout=400)[1] for process in started]
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
    assert [process.returncode for process in started] == [0, 0], errors
    assert tags.tags(tmp_path / "runs/hosts/checkpoints")[-1].manifest["world"] == 2
    local = typed("xdist", "train", "run.yaml", "folder=runs/here", cwd=tmp_path)
    assert local.returncode == 0, local.stderr
    assert losses(tmp_path / "runs/hosts") == losses(tmp_path / "runs/here")
    assert len(losses(tmp_path / "runs/here")) == 6
