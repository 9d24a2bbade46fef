"""A pod reads how its run ended after rank 0, which may be in another and slower pod, has said so."""

import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from xdist.config import load_run
from xdist.launch import pod
from xdist.run import distributed
from xdist.run.folder import RunFolder
from xdist.run.lock import RunLock


def test_a_pod_waits_for_the_word_of_rank_0(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.config.write_text("")
    assert folder.state == "running"
    slower = threading.Timer(0.3, folder.mark, ("failed", "user error: no such encoder"))
    slower.start()
    pod.await_mark(folder)
    slower.join()
    assert folder.user_error


def test_it_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod, "MARK_SECONDS", 0.3)
    begun = time.monotonic()
    pod.await_mark(RunFolder(tmp_path))
    assert 0.3 <= time.monotonic() - begun < 5


def test_a_pod_of_a_run_at_work_says_so_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    values = {"name": "a", "folder": "run", "model": {"backbone": "x"}, "data": {"root": "benchmark"}}
    Path("run.yaml").write_text(yaml.safe_dump({**values, "train": {"tasks": [{"task": "xnli"}], "steps": 5}}))
    folder, lock = RunFolder(Path("run")), RunLock(Path("run"))
    folder.announce(load_run(Path("run.yaml")))
    lock.take("xdist train")
    folder.stop.touch()
    before = {path: path.read_bytes() for path in folder.path.iterdir()}
    assert pod.main("train", "run.yaml", str(tmp_path)) == pod.USER_ERROR
    assert before == {path: path.read_bytes() for path in folder.path.iterdir()}
    said = capsys.readouterr().err
    assert said.startswith("xdist: run: xdist train (host ")
    assert said.count("\n") == 1
    lock.release()


def test_mpi_hands_on_names_of_variables_and_no_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hosts").write_text("# by Trainer\nrun-launcher-0-0.run slots=8\nrun-node-0-0.run slots=8\n")
    for name, value in ((pod.HOSTFILE, tmp_path / "hosts"), ("TOKEN", "hush"), ("HF_HUB_OFFLINE", "1"), ("OTHER", "x")):
        monkeypatch.setenv(name, str(value))
    words = pod.mpirun(["TOKEN", "NOT_THERE"])
    handed = [word for before, word in pairwise(words) if before == "-x"]
    assert "MASTER_ADDR=run-launcher-0-0.run" in handed
    assert {"TOKEN", "HF_HUB_OFFLINE", "PATH"} <= set(handed)
    assert not {"OTHER", "NOT_THERE"} & set(handed)
    assert not any("hush" in word for word in words)


@pytest.mark.parametrize(
    ("variables", "rank", "world"),
    [
        ({}, 0, 1),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}, 3, 4),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_SIZE": "8"}, 5, 8),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "RANK": "1", "WORLD_SIZE": "2"}, 1, 2),
    ],
)
def test_ranks_know_their_number_whoever_starts_them(
    variables: dict[str, str], rank: int, world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", *(name for names in distributed.STARTERS for name in names)):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (distributed.rank(), distributed.world()) == (rank, world)
