"""xdist submit up to the scheduler: what is checked, shown and written, without one."""

import os
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from tiny import tiny_benchmark

from xdist.cli import main
from xdist.config import load_run
from xdist.files import shipped
from xdist.launch.status import status

EXAMPLES = shipped("jobs") / "clusters"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_benchmark(tmp_path / "benchmark")
    run = {
        "name": "mine",
        "folder": "runs/mine",
        "model": {"backbone": "encoder"},
        "data": {"root": "benchmark"},
        "train": {"tasks": [{"task": "cldr-topic"}], "steps": 3},
        "evaluate": {"tasks": ["cldr-names"]},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "commands"))
    return tmp_path


def submit(kind: str, *words: str) -> Result:
    return CliRunner().invoke(main, ["submit", "run.yaml", "--cluster", str(EXAMPLES / f"{kind}.yaml"), *words])


def refusal(kind: str, *words: str) -> str:
    done = submit(kind, *words)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.output
    return done.stderr


def files(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in (place / "runs").rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("kind", "shows"),
    [("local", ""), ("hosts", "gpu2 slots=8"), ("slurm", "#SBATCH --nodes=2"), ("kubernetes", "kind: TrainJob")],
)
def test_dry_run_shows_and_writes_nothing(place: Path, kind: str, shows: str) -> None:
    done = submit(kind, "--dry-run")
    assert done.exit_code == 0, done.output
    assert shows in done.stdout
    assert "run mine in runs/mine (now: new)" in done.stderr
    assert files(place) == []


def test_cluster_paths_and_ranks_are_the_ones_the_job_reads(place: Path) -> None:
    shown = submit("kubernetes", "--dry-run", "train.steps=7").stdout
    (config,) = [one["data"]["config.yaml"] for one in yaml.safe_load_all(shown) if one["kind"] == "ConfigMap"]
    (place / "inside.yaml").write_text(config)
    inside, outside = load_run(place / "inside.yaml"), load_run(place / "run.yaml", ["train.steps=7"])
    assert (str(inside.data.root), str(inside.data.cache)) == ("/data", "/runs/prepared")
    assert (inside.runtime.ranks, inside.identity) == (8, outside.identity)


def test_without_the_schedulers_command_the_files_are_there_to_be_carried_over(place: Path) -> None:
    assert "sbatch: no such command on this machine" in refusal("slurm")
    written = ["runs/mine/config.yaml", "runs/mine/job/cluster.yaml", "runs/mine/job/job.sbatch", "runs/mine/job/run.yaml"]
    assert files(place) == written
    assert (place / "runs/mine/job/run.yaml").read_bytes() == (place / "run.yaml").read_bytes()
    assert status(place / "runs/mine").state == "not started"


def test_scheduler_gets_the_file_and_its_number_is_kept(place: Path) -> None:
    (place / "commands").mkdir()
    for name, says in (("sbatch", 'echo "$@" >&2; echo "77;cluster"'), ("squeue", "echo PENDING Dependency")):
        (place / "commands" / name).write_text(f"#!/bin/sh\n{says}\n")
        (place / "commands" / name).chmod(0o755)
    done = submit("slurm", "--after", "5", "--after", "6")
    assert done.exit_code == 0, done.output
    assert "submitted as job 77" in done.stdout
    found = status(place / "runs/mine")
    assert (found.state, found.job) == ("queued", "77 PENDING (Dependency)")
    assert "job 77 of this run is PENDING (Dependency); end it first, or wait" in refusal("slurm")


def test_parts_that_prepare_come_first(place: Path) -> None:
    (place / "commands").mkdir()
    (place / "commands" / "sbatch").write_text('#!/bin/sh\necho "$@" >>"$0.log"; /usr/bin/wc -l <"$0.log"\n')
    (place / "commands" / "sbatch").chmod(0o755)
    done = submit("slurm", "--prepare", "4", "--after", "9")
    assert "submitted as job 3" in done.stdout
    waits, files = [], []
    for line in (place / "commands" / "sbatch.log").read_text().splitlines():
        assert "--kill-on-invalid-dep=yes" in line
        waits.append(line.split("--dependency=")[1].split()[0])
        files.append(Path(line.split()[-1]).name)
    assert waits == ["afterok:9", "afterok:1", "afterok:2"]
    assert files == ["prepare.sbatch", "prepared.sbatch", "job.sbatch"]
    assert "#SBATCH --array=1-4\n" in (place / "runs/mine/job/prepare.sbatch").read_text()
    assert "--prepare: needs a cluster of kind slurm and kubernetes" in refusal("hosts", "--prepare", "2")


def test_on_kubernetes_parts_are_submitted_alone(place: Path) -> None:
    (place / "commands").mkdir()
    (place / "commands" / "kubectl").write_text(
        '#!/bin/sh\necho "$@" >>"$0.log"; [ "$1" != get ] || { echo "(NotFound)" >&2; exit 1; }\n'
    )
    (place / "commands" / "kubectl").chmod(0o755)
    done = submit("kubernetes", "--prepare", "4")
    assert done.exit_code == 0, done.output
    assert "submitted its preparation as job research/jobs.batch/xdist-mine-" in done.stdout
    assert "the same command without --prepare submits the run" in done.stdout
    assert "job/prepare.yaml" in (place / "commands" / "kubectl.log").read_text()
    assert not (place / "runs/mine/job/job.yaml").exists()
    assert "submitted as job research/trainjobs" in submit("kubernetes").stdout


def test_by_hand_on_hosts(place: Path) -> None:
    done = submit("hosts", "--set", "ssh=false")
    assert done.exit_code == 0, done.output
    script = place / "runs/mine/job/start.sh"
    assert done.stdout == f"on gpu1: bash {script} 0\non gpu2: bash {script} 1\n"
    assert (place / "runs/mine/job/hostfile").read_text() == "gpu1 slots=8\ngpu2 slots=8\n"


def test_refused_before_anything_is_written(place: Path) -> None:
    assert "unknown task 'cldr-topics'" in refusal("slurm", "train.tasks.0.task=cldr-topics")
    assert "unknown task 'cldr-name'" in refusal("kubernetes", "evaluate.tasks=[cldr-name]")
    assert "--after: needs a cluster of kind slurm" in refusal("kubernetes", "--after", "1")
    assert "unknown DeepSpeed configuration" in refusal("slurm", "runtime.deepspeed=zero9")
    assert "has no section 'evaluate'" in refusal("slurm", "--evaluate", "evaluate=null")
    assert "no such file" in refusal("slurm", "--cluster", f"{os.sep}nowhere.yaml").lower()
    assert files(place) == []
