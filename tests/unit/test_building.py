"""Ops are compiled by one process of a machine at a time, and one that is killed keeps no other waiting."""

import fcntl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from deepspeed.accelerator import get_accelerator

from xdist.launch.doctor import compiler
from xdist.run import building

HOLDS = """import sys, time
from pathlib import Path
from xdist.run import building
with building.exclusive_build(Path(sys.argv[1])):
    print("holds", flush=True)
    time.sleep(600)
"""


class Builder:
    """Of an op, in the place of DeepSpeed's, which compile for a minute."""

    def __init__(self, compatible: bool, place: Path) -> None:
        self.compatible, self.place = compatible, place

    def is_compatible(self, verbose: bool) -> bool:
        return self.compatible

    def load(self, verbose: bool) -> None:
        assert not (self.place / "lock").exists()  # torch would wait for it
        with (self.place.parent / "xdist.lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("op", building.BUILDERS)
def test_what_a_killed_build_left_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, op: str) -> None:
    (tmp_path / op).mkdir()
    (tmp_path / op / "lock").touch()
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.setattr(get_accelerator(), "create_op_builder", lambda name: Builder(True, tmp_path / op), raising=False)
    holder = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    assert holder.stdout.readline() == "holds\n"
    holder.kill()  # the lock dies with it
    holder.wait()
    holder.stdout.close()
    assert building.build([op]) == []


def test_what_cannot_be_compiled_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    possible = {"ShareMemCommBuilder": True, "CPUAdamBuilder": True, "AsyncIOBuilder": False}
    make = {name: Builder(able, tmp_path / name) for name, able in possible.items()}
    monkeypatch.setattr(get_accelerator(), "create_op_builder", make.get, raising=False)
    assert building.build(list(building.BUILDERS)) == [building.ASYNC_IO]
    good, note = compiler.build_ops()
    assert good.says.endswith("deepspeed_shm_comm, cpu_adam")
    assert (note.level, note.says) == ("note", "async_io cannot be compiled, and is needed by zero3_nvme")
    assert "libaio" in note.do


def test_a_build_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(ops: object) -> None:
        raise RuntimeError("Error building extension 'cpu_adam'\nFAILED: …")

    monkeypatch.setattr(building, "build", build)
    (found,) = compiler.build_ops()
    assert (found.level, found.says) == ("bad", "DeepSpeed's ops do not compile: Error building extension 'cpu_adam'")


def test_waiting_for_another_build_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(building, "SILENT", 0.2)
    with (tmp_path / "xdist.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        threading.Timer(1.0, fcntl.flock, (other, fcntl.LOCK_UN)).start()
        with building.exclusive_build(tmp_path):
            pass
    assert capsys.readouterr().err == f"xdist: another process compiles in {tmp_path}; waiting for it\n"
