"""xdist doctor: how each check judges what it measured, and what the measuring itself says of broken machines."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from xdist.cli import main
from xdist.files import shipped
from xdist.launch.clusters import load_cluster
from xdist.launch.doctor import accelerator, clocks, compiler, interfaces, kube, reach, shared_memory, storage, versions
from xdist.launch.doctor.accelerator import Seen
from xdist.launch.doctor.finding import Finding, size
from xdist.launch.doctor.meeting import pairs
from xdist.launch.kubernetes import Kubernetes


def levels(found: list[Finding]) -> list[str]:
    assert all(one.do for one in found if one.level != "good"), found
    return [one.level for one in found]


def test_versions() -> None:
    there = {"torch": "2.13.0+cpu", "deepspeed": "0.19.9", "transformers": "5.23.1"}
    wanted = ["torch<2.14,>=2.13", "deepspeed<0.20,>=0.19.8", "pytest>=9; extra == 'dev'"]
    assert [one.level for one in versions.judge(wanted, there.get) if not one.says.startswith("python")] == ["good"]
    (old,) = versions.judge(wanted, {**there, "torch": "2.9.0"}.get)
    assert (old.level, old.do) == ("bad", "pip install 'torch<2.14,>=2.13'")
    (absent,) = versions.judge([*wanted, "ninja>=1.13"], there.get)
    assert absent.says == "ninja is not installed"
    (other,) = versions.judge(wanted, {**there, "pytest-xdist": "3.8"}.get)
    assert "owns the import name" in other.says


def test_versions_that_the_ranges_hold_and_the_suite_was_not_run_with_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"torch": "2.11.0+cu130", "deepspeed": "0.19.8", "transformers": "5.17.0"}
    monkeypatch.setattr("platform.python_version", lambda: "3.13.0")
    good, python, torch = versions.judge(["torch>=2.11,<2.15"], there.get)
    assert (good.level, python.level, torch.level) == ("good", "note", "note")
    assert python.says == "python 3.13.0: not checked; the suite was run with 3.11"
    assert torch.says == "torch 2.11.0+cu130: not checked; the suite was run with 2.13"


def test_versions_of_the_nodes_are_compared() -> None:
    one = {"python": "3.11.2", "torch": "2.13.0"}
    assert versions.judge_alike([("n1", one), ("n2", dict(one))]) == []
    (found,) = versions.judge_alike([("n1", one), ("n2", {**one, "torch": "2.13.1"})])
    assert (found.level, found.host, found.says) == ("bad", "n2", "torch 2.13.1, but 2.13.0 on n1")
    (more,) = versions.judge_alike([("n1", one), ("n2", {**one, "nccl": "2.27"})])
    assert (more.level, more.says) == ("bad", "nccl 2.27, but none on n1")
    (other,) = versions.judge_alike([("n1", {**one, "numpy": "2.4.0"}), ("n2", {**one, "numpy": "2.4.1"})])
    assert (other.level, other.says) == ("note", "numpy 2.4.1, but 2.4.0 on n1")
    assert {"python", "torch", "deepspeed", "xdist-xtreme", "numpy", "datasets"} <= versions.facts().keys()


@pytest.mark.parametrize(
    ("seen", "wanted", "level", "says"),
    [
        (Seen(0, 0, "", False, True, ""), 0, "good", "no GPU"),
        (Seen(0, 0, "", False, True, "", "amx_bf16"), 0, "good", "gloo; amx_bf16: runtime.precision=bf16 may train faster"),
        (Seen(8, 8, "12.8", True, True, "", "amx_bf16"), 8, "good", "8 GPUs, CUDA 12.8, NCCL"),
        (Seen(8, 0, "", False, True, ""), 0, "bad", "8 GPUs, but torch was built for the CPU"),
        (Seen(8, 0, "12.8", True, True, ""), 0, "bad", "no GPU answers"),
        (Seen(0, 0, "12.8", True, True, ""), 8, "bad", "no GPU answers"),
        (Seen(0, 0, "12.8", True, True, ""), 0, "good", "no GPU"),
        (Seen(0, 0, "", False, True, ""), 8, "bad", "0 GPUs are usable, the cluster file says 8 on a node"),
        (Seen(4, 4, "12.8", False, True, ""), 4, "bad", "without NCCL"),
        (Seen(4, 4, "12.8", True, True, "cpu"), 4, "note", "leaves 4 GPUs idle"),
        (Seen(0, 0, "", False, False, ""), 0, "bad", "without gloo"),
    ],
)
def test_accelerator(seen: Seen, wanted: int, level: str, says: str) -> None:
    (found,) = accelerator.judge(seen, wanted)
    assert levels([found]) == [level]
    assert says in found.says


def test_a_processor_that_multiplies_bf16_is_known_by_its_flags(tmp_path: Path) -> None:
    (tmp_path / "amd").write_text("flags\t\t: fpu avx512f avx512_bf16 sse\n")
    (tmp_path / "intel").write_text("flags\t\t: fpu avx512_bf16 amx_bf16\n")
    (tmp_path / "old").write_text("flags\t\t: fpu avx2 avx512f\n")
    found = [accelerator.bf16_of(tmp_path / name) for name in ("amd", "intel", "old", "absent")]
    assert found == ["avx512_bf16", "amx_bf16", "", ""]


def test_compiler(tmp_path: Path) -> None:
    assert levels(compiler.judge("g++", "", "/usr/bin/ninja", tmp_path / "not" / "yet")) == ["good"]
    assert levels(compiler.judge("g++", None, None, tmp_path / "not" / "yet")) == ["bad", "bad"]
    (headers,) = compiler.judge("g++", "<stdin>:1:10: fatal error: Python.h: No such file", "ninja", tmp_path)
    assert "headers" in headers.says
    (file,) = compiler.judge("g++", "", "ninja", Path("/proc/version/extensions"))
    assert "cannot be written to" in file.says


def test_compiler_is_tried_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert levels(compiler.check()) == ["good"]
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'no licence' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    assert [one.says for one in compiler.check()] == [f"{broken} does not compile: no licence"]
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert [one.says for one in compiler.check()] == ["no no-such-compiler: DeepSpeed cannot compile its ops"]


@pytest.mark.parametrize(
    ("total", "free", "ranks", "level"),
    [(64 << 20, 64 << 20, 1, "bad"), (64e9, 60e6, 2, "bad"), (2e9, 1.5e9, 8, "note"), (64e9, 60e9, 8, "good")],
)
def test_shared_memory(total: float, free: float, ranks: int, level: str) -> None:
    assert levels(shared_memory.judge(int(total), int(free), ranks)) == [level]


@pytest.mark.parametrize(
    ("free", "speed", "locks", "expected"),
    [
        (100e9, 1e9, True, ["good"]),
        (0.5e9, 1e9, True, ["bad"]),
        (5e9, 1e9, True, ["note"]),
        (100e9, 20e6, True, ["note"]),
        (5e9, 20e6, False, ["note", "note", "note"]),
    ],
)
def test_storage(free: float, speed: float, locks: bool, expected: list[str]) -> None:
    assert levels(storage.judge(Path("/runs"), int(free), speed, locks)) == expected


def test_storage_is_tried_for_real_and_left_as_it_was(tmp_path: Path) -> None:
    assert [one.check for one in storage.check(tmp_path / "not" / "yet")] == ["storage"]
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    assert [one.says for one in storage.check(tmp_path / "file" / "runs")] == [f"{tmp_path}/file is a file"]
    (found,) = storage.check(Path("/proc/runs"))
    assert (found.level, found.says.split(":")[0]) == ("bad", "/proc cannot be written to")


def met(*speeds: float, right: bool = True) -> dict[str, Any]:
    there = {"there": {"eth0": {"address": "10.0.0.1", "speed": 10_000}}, "used": "eth0", "named": {}}
    nodes = [{"host": f"n{number}", "findings": [], "facts": {"torch": "2.13"}, "interfaces": there} for number in range(3)]
    between = [["n0", "n1"], ["n0", "n2"], ["n1", "n2"]]
    return {
        "backend": "nccl",
        "world": 6,
        "nodes": nodes,
        "clocks": [0.0, 0.01, -0.01],
        "all": {"seconds": 0.1, "bytes_per_second": 1e9, "right": right},
        "pairs": [
            {"between": names, "seconds": 0.1, "bytes_per_second": speed, "right": True}
            for names, speed in zip(between, speeds, strict=False)
        ],
    }


def test_meeting() -> None:
    found = reach.judge(met(10e9, 4e9, 11e9))
    assert levels(found) == ["good", "note", "good", "good", "good", "good"]
    assert [one.check for one in found[3:]] == ["interfaces", "clocks", "network"]
    assert found[1].says == "n0 and n2: 4 GB/s, the median pair has 10 GB/s"
    assert found[-1].says == "6 ranks on 3 nodes meet by nccl, all-reduce at 1 GB/s"
    assert levels(reach.judge(met(1e9, right=False))) == ["bad"]
    looked = met(1e9)
    looked["nodes"][1]["findings"] = [{"check": "compiler", "level": "bad", "says": "no g++", "do": "install it", "host": ""}]
    looked["nodes"][2]["facts"] = {"torch": "2.12"}
    assert [(one.host, one.level) for one in reach.judge(looked)[:2]] == [("n1", "bad"), ("n2", "bad")]


def test_a_node_with_a_slow_link_to_all_is_named_once() -> None:
    found = [one for one in reach.judge(met(10e9, 1e9, 1.1e9)) if one.check == reach.CHECK]
    assert [(one.level, one.host) for one in found] == [("note", "n2"), ("good", ""), ("good", "")]
    assert found[0].says == "every link to it is slow, the best has 1.1 GB/s, other nodes 10 GB/s"
    assert "NCCL_SOCKET_IFNAME, GLOO_SOCKET_IFNAME" in found[0].do


def test_clocks() -> None:
    assert clocks.judge(["n0"], [0.0]) == []
    assert levels(clocks.judge(["n0", "n1", "n2"], [0.0, 0.2, -0.3])) == ["good"]
    found = clocks.judge(["n0", "n1", "n2"], [0.0, -90.0, -90.1])
    assert [(one.level, one.host, one.says) for one in found] == [("note", "n0", "90.0 s ahead of most nodes")]
    (found_of_two,) = clocks.judge(["n0", "n1"], [0.0, 90.0])
    assert (found_of_two.level, found_of_two.says) == ("note", "n1 and n0 are 90.0 s apart")


def test_interfaces() -> None:
    def node(used: str, **speeds: int) -> dict[str, Any]:
        return {"there": {name: {"address": "10.0.0.1", "speed": of} for name, of in speeds.items()}, "used": used, "named": {}}

    eth = node("eth0", eth0=10_000)
    assert interfaces.judge([("n0", eth)]) == []
    (same,) = interfaces.judge([("n0", eth), ("n1", eth)])
    assert (same.level, same.says.split(";")[0]) == ("good", "the nodes reach each other by eth0 on all nodes (10 Gbit/s)")
    assert "NCCL_SOCKET_IFNAME and GLOO_SOCKET_IFNAME" in same.says
    (differ,) = interfaces.judge([("n0", node("e0", e0=0)), ("n1", node("e1", e1=0))])
    assert (differ.level, differ.says.split(";")[0]) == ("good", "the nodes reach each other by e0 on n0, e1 on n1")
    both = node("eth0", eth0=1000, ib0=200_000)
    (slow,) = interfaces.judge([("n0", both), ("n1", both)])
    assert (slow.level, slow.do.split(",")[0]) == ("note", "environment: {NCCL_SOCKET_IFNAME: ib0")
    (one_only,) = interfaces.judge([("n0", both), ("n1", eth)])
    assert one_only.level == "good"
    (named,) = interfaces.judge([("n0", {**both, "named": {"GLOO_SOCKET_IFNAME": "eth0"}}), ("n1", both)])
    assert (named.level, named.says.split("; ")[1]) == ("good", "GLOO_SOCKET_IFNAME=eth0 on n0")


def test_interfaces_of_this_machine() -> None:
    there = interfaces.facts("127.0.0.1")
    assert there["used"] == "lo"
    for name, one in there["there"].items():
        assert interfaces.facts(one["address"])["used"] == name


def test_who_is_timed_with_whom() -> None:
    assert list(pairs(["a"], 1)) == []
    assert list(pairs(["a"], 4)) == [(["a rank 0", "a rank 1"], [0, 1])]
    assert list(pairs(["a", "b", "c"], 8)) == [(["a", "b"], [0, 8]), (["a", "c"], [0, 16]), (["b", "c"], [8, 16])]
    many = list(pairs([str(number) for number in range(64)], 8))
    assert len(many) == 64
    assert all(0 <= one < other < 512 and one % 8 == other % 8 == 0 for _, (one, other) in many)


def test_kubernetes_is_asked_for_what_the_cluster_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = load_cluster(
        shipped("jobs") / "clusters" / "kubernetes.yaml", ["secrets={HF_TOKEN: {secret: hub, key: token}}", "form=job"]
    )
    assert isinstance(cluster, Kubernetes)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert levels(kube.check(cluster)) == ["bad"]
    says = 'case "$3" in xdist-data) echo "Error from server (NotFound): no claim" >&2; exit 1;; esac'
    (tmp_path / "kubectl").write_text(f"#!/bin/sh\n{says}\n")
    (tmp_path / "kubectl").chmod(0o755)
    found = kube.check(cluster)
    assert levels(found) == ["good", "good", "good", "bad", "good", "note"]
    assert "claim xdist-data for data: kubectl: Error from server (NotFound)" in found[3].says


def test_mistakes_and_sizes(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["doctor", "--cluster", str(tmp_path / "none.yaml")])
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert [size(1.5e9), size(64 << 20), size(12e12), size(999)] == ["1.5 GB", "67.1 MB", "12 TB", "0.999 kB"]
    done = CliRunner().invoke(main, ["doctor", "--json", "--folder", f"{os.sep}proc{os.sep}runs"])
    assert done.exit_code == 1
    assert [one["check"] for one in json.loads(done.stdout) if one["level"] == "bad"] == ["storage"]
