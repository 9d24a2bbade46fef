"""What a rank finds around it: ranks that were not started, folders and machines that lack what others have."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from xdist.errors import RunError, UserError
from xdist.files import PACKAGE
from xdist.run import building, surroundings

MEETS = {"MASTER_ADDR": "n1", "MASTER_PORT": "29500"}
IN_STEP = {"SLURM_PROCID": "1", "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4"}


@pytest.mark.parametrize(
    "variables, says",
    [
        ({}, ""),
        ({"WORLD_SIZE": "1"}, ""),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, ""),
        ({"RANK": "0", "WORLD_SIZE": "1"}, ""),
        ({"RANK": "1", "WORLD_SIZE": "2", **MEETS}, ""),
        ({"RANK": "1", "WORLD_SIZE": "2", **MEETS, "SLURM_NTASKS": "4"}, ""),  # torchrun in a job
        ({**IN_STEP, **MEETS}, ""),
        ({**IN_STEP, **MEETS, "WORLD_SIZE": "4"}, ""),  # as many scripts export it
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", **MEETS}, ""),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", **MEETS, "SLURM_NTASKS": "4"}, ""),
        ({"WORLD_SIZE": "8"}, "WORLD_SIZE=8 is set, and RANK is not: unset WORLD_SIZE, or start the ranks by `xdist train`"),
        ({"WORLD_SIZE": "8", **MEETS}, "WORLD_SIZE=8 is set, and RANK is not"),
        ({"WORLD_SIZE": "eight"}, "WORLD_SIZE=eight: expected a number of ranks"),
        ({"RANK": "0", "WORLD_SIZE": "8"}, "RANK and WORLD_SIZE are set: set MASTER_ADDR and MASTER_PORT too"),
        ({"RANK": "0", "WORLD_SIZE": "8", "MASTER_ADDR": "n1"}, "RANK and WORLD_SIZE are set: set MASTER_ADDR and MASTER_PORT"),
        (
            {"SLURM_NTASKS": "4"},
            "SLURM_NTASKS=4 is set, and srun has not started this process as one of them: unset SLURM_NTASKS",
        ),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0", **MEETS}, "SLURM_NTASKS=4 is set, and srun has not"),  # a batch script
        ({**IN_STEP, "SLURM_STEP_NUM_TASKS": "1", **MEETS}, "SLURM_NTASKS=4 is set, and srun has not"),  # a shell of salloc
        (IN_STEP, ""),  # where they meet is found
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, ""),
    ],
)
def test_ranks_that_nobody_started_are_not_waited_for(variables: dict[str, str], says: str) -> None:
    if not says:
        surroundings.check_started(variables)
        return
    with pytest.raises(UserError) as caught:
        surroundings.check_started(variables)
    assert str(caught.value).startswith(says)


def test_a_worker_script_says_it_at_once(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("name: a\nfolder: a\nmodel: {backbone: b}\ndata: {root: c}\nevaluate: {tasks: [xnli]}\n")
    for variables in ({"SLURM_NTASKS": "4"}, {"WORLD_SIZE": "8"}):
        done = subprocess.run(
            [sys.executable, PACKAGE / "train.py", "run.yaml"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables},
            capture_output=True,
            text=True,
            timeout=120,
        )
        ((name, size),) = variables.items()
        assert (done.returncode, done.stderr.splitlines()[-1].startswith(f"xdist: {name}={size} is set")) == (2, True)


def test_a_folder_to_compile_in_that_cannot_be_written_is_named_with_its_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root in (Path("/proc/none/.cache/torch_extensions"), tmp_path / "file" / "below"):
        with pytest.raises(
            UserError, match=rf"^{root}: cannot be written to \(.*\): set TORCH_EXTENSIONS_DIR to a folder that can$"
        ):
            with building.exclusive_build(root):
                pass


def test_a_file_system_without_locks_is_named_with_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(
        UserError, match="its file system keeps no locks: set TORCH_EXTENSIONS_DIR to a folder of one that does"
    ):
        with building.exclusive_build(tmp_path):
            pass


def test_shared_memory_that_takes_no_files_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_SIZE", "2")
    surroundings.without_shared_memory(tmp_path)
    assert os.environ["LOCAL_SIZE"] == "2"
    surroundings.without_shared_memory(tmp_path / "gone")
    assert "LOCAL_SIZE" not in os.environ


def test_without_loopback_the_address_that_is_given_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert surroundings.free_port()[0] == "127.0.0.1"
    monkeypatch.setattr(surroundings, "LOOPBACK", "192.0.2.1")  # of no machine, as 127.0.0.1 is where there is no loopback
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(RunError, match=r"^192\.0\.2\.1: cannot be reached \(.*\): set MASTER_ADDR to an address of"):
        surroundings.free_port()
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    address, port = surroundings.free_port()
    with socket.socket() as sock:
        sock.bind((address, port))


def test_gloo_takes_the_interface_that_leads_to_where_ranks_meet() -> None:
    found = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    surroundings.choose_interface(found)
    assert found["GLOO_SOCKET_IFNAME"] == "lo"
    for left in ({"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "eth7"}, {}, {"MASTER_ADDR": "no such host"}):
        kept = dict(left)
        surroundings.choose_interface(kept)
        assert kept == left
