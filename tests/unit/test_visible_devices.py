"""The GPUs that a user chose reach the ranks, and no GPU gets two of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner
from deepspeed.accelerator import cuda_accelerator

from xdist.cli import main
from xdist.config import load_study
from xdist.errors import UserError
from xdist.launch import local
from xdist.run import devices, distributed, worker
from xdist.study import Facts, expand
from xdist.study.running import run_study

GPU, MIG = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f"
SEES = """import os
names = ("LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "LOCAL_SIZE", "MASTER_ADDR", "DS_ACCELERATOR", "CUDA_VISIBLE_DEVICES")
os.write(1, (" ".join(os.environ.get(name, "unset") for name in names) + "\\n").encode())  # in one piece
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The /dev of a machine without a GPU, whose user chose none."""
    place = tmp_path / "dev"
    place.mkdir()
    monkeypatch.setattr(devices, "DEV", place)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("DS_ACCELERATOR", raising=False)
    return place


@pytest.fixture
def gpus(machine: Path) -> None:
    """Two, as their driver shows them, and what else it puts there."""
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-caps"):
        (machine / name).touch()


@pytest.mark.parametrize(
    "chosen, ranks", [(None, 2), ("3", 1), ("2,3", 2), ("2,3", 1), ("", 2), (GPU, 1), (f"{GPU},GPU-6", 2), (MIG, 1)]
)
def test_visible_devices_reach_the_ranks_as_they_were_set(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str | None, ranks: int
) -> None:
    """By the words and variables of `xdist train` with another program in the place of train.py."""
    program = tmp_path / "sees.py"
    program.write_text(SEES)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    words = [str(program) if word.endswith("xdist/train.py") else word for word in local.command("train", Path("x"), (), ranks)]
    assert str(program) in words
    done = subprocess.run(words, env=local.environment(ranks), capture_output=True, text=True, check=True)
    common = f"{ranks} {ranks} {ranks} 127.0.0.1 unset {'unset' if chosen is None else chosen}"
    assert sorted(done.stdout.splitlines()) == [f"{rank} {common}" for rank in range(ranks)]


@pytest.mark.parametrize(
    "chosen, seen",
    [
        (None, ["0", "1"]),
        ("1", ["1"]),
        ("1, 0", ["1", "0"]),
        ("0,2,1", ["0"]),
        ("2", []),
        ("0,0", []),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        (GPU, [GPU]),
        (f"{GPU},GPU-6", [GPU, "GPU-6"]),
        (f"{MIG},MIG-6", [MIG]),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(gpus: None, chosen: str | None, seen: list[str]) -> None:
    assert devices.visible_gpus({} if chosen is None else {"CUDA_VISIBLE_DEVICES": chosen}) == seen


@pytest.mark.parametrize("chosen", [None, "", "3", GPU])
def test_visible_devices_bound_no_ranks_on_cpus(machine: Path, chosen: str | None) -> None:
    devices.check(64, {} if chosen is None else {"CUDA_VISIBLE_DEVICES": chosen})


@pytest.mark.parametrize("chosen, accelerator", [(None, "unset"), ("1", "unset"), ("", "cpu"), ("-1", "cpu")])
def test_visible_devices_that_are_hidden_leave_the_cpu(
    gpus: None, monkeypatch: pytest.MonkeyPatch, chosen: str | None, accelerator: str
) -> None:
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert local.environment(1).get("DS_ACCELERATOR", "unset") == accelerator
    devices.check(64 if accelerator == "cpu" else 1)


TOO_MANY = (
    "{} ranks on this machine, but {} visible{}, and each can have one rank "
    "(valid: {}; on the CPU, with CUDA_VISIBLE_DEVICES= before the command, as many as you like)"
)
NOTHING = (
    "CUDA_VISIBLE_DEVICES={}: makes none of this machine's GPUs visible "
    "(valid: 0 to 1, or names that `nvidia-smi -L` shows; empty uses the CPU)"
)
REFUSED = [
    (3, None, f"runtime.ranks: {TOO_MANY.format(3, '2 GPUs are', '', '1 to 2')}"),
    (2, "1", f"runtime.ranks: {TOO_MANY.format(2, '1 GPU is', ' (CUDA_VISIBLE_DEVICES=1)', '1')}"),
    (2, f"{MIG},MIG-6", f"runtime.ranks: {TOO_MANY.format(2, '1 GPU is', f' (CUDA_VISIBLE_DEVICES={MIG},MIG-6)', '1')}"),
    (1, "7", NOTHING.format("7")),
    (1, "0,0", NOTHING.format("0,0")),
]


@pytest.fixture
def described(tmp_path: Path) -> Path:
    """A run on two ranks whose files exist."""
    (tmp_path / "data/cldr-topic").mkdir(parents=True)
    (tmp_path / "data/cldr-topic/train-en.tsv").write_text("one\tunit\ntwo\tscript\n")
    run = {
        "name": "a",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": "some/encoder"},
        "data": {"root": str(tmp_path / "data"), "cache": str(tmp_path / "prepared")},
        "train": {"tasks": [{"task": "cldr-topic", "languages": ["en"]}], "steps": 5},
        "runtime": {"ranks": 2},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    return tmp_path / "run.yaml"


@pytest.mark.parametrize("ranks, chosen, line", REFUSED)
@pytest.mark.parametrize("more", [["--dry-run"], [], ["--only-step", "3"]])
def test_visible_devices_are_counted_before_a_start(
    gpus: None, described: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], ranks: int, chosen: str | None, line: str
) -> None:
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    done = CliRunner().invoke(main, ["train", str(described), "--ranks", str(ranks), *more])
    assert (done.exit_code, done.stderr) == (2, f"xdist: {line}\n")
    assert not described.with_name("run").exists()
    assert not described.with_name("prepared").exists()


@pytest.mark.parametrize("more", [["--dry-run"], []])
@pytest.mark.parametrize("start", ["demo", "submit", "submit, told by the cluster"])
def test_visible_devices_are_counted_by_other_starts(
    gpus: None, described: Path, monkeypatch: pytest.MonkeyPatch, start: str, more: list[str]
) -> None:
    folder, chosen = described.parent, "CUDA_VISIBLE_DEVICES=0"
    cluster = folder / "cluster.yaml"
    cluster.write_text("{kind: local, ranks_per_node: 2}")
    words = {
        "demo": ["demo", "--ranks", "2", "--folder", str(folder / "demo")],
        "submit": ["submit", str(described), "--cluster", str(cluster)],
        "submit, told by the cluster": ["submit", str(described), "--cluster", str(cluster), "--set", f"environment.{chosen}"],
    }[start]
    if "told" not in start:
        monkeypatch.setenv(*chosen.split("="))
    done = CliRunner().invoke(main, [*words, *more])
    assert (done.exit_code, done.stderr) == (
        2,
        f"xdist: runtime.ranks: {TOO_MANY.format(2, '1 GPU is', f' ({chosen})', '1')}\n",
    )
    assert sorted(path.name for path in folder.iterdir()) == ["cluster.yaml", "data", "dev", "run.yaml"]


def test_visible_devices_are_counted_before_a_study(gpus: None, described: Path) -> None:
    run = yaml.safe_load(described.read_text())
    run["runtime"]["ranks"] = 3
    study = {"name": "s", "folder": str(described.with_name("out")), "stages": {"one": {"run": run}}, "seeds": [1]}
    described.with_name("study.yaml").write_text(yaml.safe_dump(study))
    facts = Facts()
    with pytest.raises(UserError) as error:
        run_study(expand(load_study(described.with_name("study.yaml")), facts), facts)
    assert str(error.value) == REFUSED[0][2]
    assert not described.with_name("out").exists()


@pytest.mark.parametrize("there, ranks", [(0, 2), (1, 1), (2, 2), (8, 2)])
def test_visible_devices_are_what_the_demo_takes(machine: Path, tmp_path: Path, there: int, ranks: int) -> None:
    for number in range(there):
        (machine / f"nvidia{number}").touch()
    done = CliRunner().invoke(main, ["demo", "--dry-run", "--folder", str(tmp_path / "demo")])
    assert done.exit_code == 0, done.output
    assert all(f"launch/ranks.py {ranks} " in line and f"runtime.ranks={ranks}" in line for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "local_rank, variables, said",
    [
        (0, {}, None),
        (1, {}, None),  # srun tells a rank its own number alone, and may show each its own GPU
        (3, {"OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, None),  # so may mpirun
        (0, {"LOCAL_WORLD_SIZE": "4"}, f"{TOO_MANY.format(4, '1 GPU is', '', '1')}"),
        (1, {"LOCAL_SIZE": "2"}, ""),
        (0, {"LOCAL_SIZE": "1", "CUDA_VISIBLE_DEVICES": MIG}, None),
    ],
)
def test_visible_devices_are_counted_by_a_rank_that_others_started(
    gpus: None,
    described: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    local_rank: int,
    variables: dict[str, str],
    said: str | None,
) -> None:
    """On a machine whose torch has one GPU; `said`: None where nothing is wrong."""
    for name in ("LOCAL_WORLD_SIZE", "LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"RANK": str(local_rank), "LOCAL_RANK": str(local_rank), **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(sys, "argv", ["train.py", str(described)])
    monkeypatch.setattr(worker, "quiet_libraries", lambda: None)
    monkeypatch.setattr(worker, "SAYING", 0.0)
    monkeypatch.setattr(worker, "_leave", sys.exit)
    worked: list[str] = []
    if said is None:
        worker.main(lambda run: worked.append(run.name), "usage")
    else:
        with pytest.raises(SystemExit) as left:
            worker.main(lambda run: worked.append(run.name), "usage")
        assert left.value.code == 2
    assert capsys.readouterr().err == (f"xdist: {said}\n" if said else "")
    assert worked == (["a"] if said is None else [])


@pytest.mark.parametrize("seen, chosen, refused", [(0, "GPU-0", True), (0, "1", True), (0, "", False), (None, "1", False)])
def test_visible_devices_that_torch_does_not_find_are_not_replaced_by_the_cpu(
    gpus: None, seen: int | None, chosen: str, refused: bool
) -> None:
    """None: of a torch that was built for CPUs."""
    variables = {"CUDA_VISIBLE_DEVICES": chosen}
    if refused:
        with pytest.raises(UserError, match=f"CUDA_VISIBLE_DEVICES={chosen}: makes none"):
            devices.check_rank(seen, 0, 1, variables)
    else:
        devices.check_rank(seen, 0, 1, variables)


# A process under the name of a launcher that starts the next with other devices, as DeepSpeed's do; the last is a rank.
CHAIN = """import os, subprocess, sys
from xdist.run import devices
name, then, *more = sys.argv[1:]
if name == "rank":
    devices.check_rank(int(then), 0, 1)
else:
    variables = {name: value for name, value in os.environ.items() if name != devices.VARIABLE}
    given = {} if then == "dropped" else {devices.VARIABLE: then}
    sys.exit(subprocess.run([sys.executable, sys.argv[0], *more], env={**variables, **given}).returncode)
"""


@pytest.mark.parametrize(
    "asked, given, seen, refused",
    [
        ("3", "0", 1, True),
        ("3", "0", 0, False),  # there is no GPU that could be the wrong one
        ("2,3", "2,3", 2, False),
        ("0,1,2,3", "0,1", 2, False),  # as many as were requested, of those that were chosen
        ("", "0", 1, True),
        ("", "0", 0, False),
        (MIG, "0", 0, True),
    ],
)
def test_visible_devices_that_deepspeed_replaced_are_seen(
    tmp_path: Path, asked: str, given: str, seen: int, refused: bool
) -> None:
    (tmp_path / "chain.py").write_text(CHAIN)
    words = ["deepspeed", "dropped", "deepspeed.launcher.launch", given, "rank", str(seen)]
    variables = {**os.environ, "CUDA_VISIBLE_DEVICES": asked}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "chain.py"), *words], env=variables, stderr=subprocess.PIPE, text=True, check=False
    )
    line = f"CUDA_VISIBLE_DEVICES={asked}: DeepSpeed's launcher put {given} instead"
    assert (done.returncode != 0, line in done.stderr) == (refused, refused), done.stderr


@pytest.mark.parametrize("chosen, kept", [("0,1", True), (GPU, False), (MIG, False)])
def test_visible_devices_by_name_are_not_read_as_numbers(monkeypatch: pytest.MonkeyPatch, chosen: str, kept: bool) -> None:
    """DeepSpeed makes numbers of them to ask NVML, if that is installed."""
    nvml = object()
    monkeypatch.setattr(cuda_accelerator, "pynvml", nvml)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    distributed._keep_from_nvml()
    assert (cuda_accelerator.pynvml is nvml) is kept
