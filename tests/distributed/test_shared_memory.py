"""Ranks leave nothing behind that a later start suffers from, however they end: not in shared memory, which would fill up, and
not the lock of a build that was killed, which torch waits for without end."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed.group import Group
from torch.utils.cpp_extension import get_default_build_root

COLLECTIVE = "deepspeed_shm_comm"


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory, two: Group) -> Path:
    """Where torch keeps what it compiles, as a build that was killed left it; `two` has compiled the collective before."""
    two.run("shared_memory")
    folder = tmp_path_factory.mktemp("builds")
    built = next(Path(os.environ.get("TORCH_EXTENSIONS_DIR", get_default_build_root())).rglob(COLLECTIVE))
    shutil.copytree(built, folder / COLLECTIVE)
    (folder / COLLECTIVE / "lock").touch()
    return folder


@pytest.fixture(scope="module")
def ranks(builds: Path) -> Iterator[Group]:
    # As DeepSpeed's launcher says it; without it the ranks would meet over gloo alone.
    ranks = Group(2, LOCAL_SIZE="2", TORCH_EXTENSIONS_DIR=str(builds))
    yield ranks
    ranks.close()


def test_nothing_of_the_collective_has_a_name_while_it_is_used(ranks: Group) -> None:
    assert ranks.run("shared_memory") == [[], []]
    mapped = [Path(f"/proc/{process.pid}/maps").read_text() for process in ranks.ranks]
    assert all("deepspeed_allreduce_buffer" in maps for maps in mapped)


def test_the_lock_of_a_killed_build_stops_nobody(ranks: Group, builds: Path) -> None:
    ranks.run("shared_memory")
    assert not (builds / COLLECTIVE / "lock").exists()
