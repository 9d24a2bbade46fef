"""Runs on a real SLURM of two nodes: prepared in parts, stopped by the time limit, preempted, killed, failing, as a study."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from slurm_cluster import Slurm, await_that, two_nodes, why_not
from tiny import tiny_benchmark, tiny_model
from typing_of_commands import Typed

from xdist.checkpoint import tags
from xdist.files import read_json

pytestmark = pytest.mark.cluster

if why_not() and "XDIST_CI" not in os.environ:
    pytest.skip(why_not(), allow_module_level=True)

RUNS, AT_ONCE = int(os.environ.get("XDIST_STUDY_RUNS", "8")), int(os.environ.get("XDIST_STUDY_AT_ONCE", "2"))
STEPS = 160  # long enough to be caught running three times
CLUSTER: dict[str, Any] = {"kind": "slurm", "nodes": 2, "time_limit": "30m", "save_time": "2m", "memory": "100M"}
CLUSTER["prepare"] = {"cpus": 1, "memory": "100M"}
TRAIN = {"tasks": [{"task": "cldr-topic", "languages": ["en", "de"]}], "steps": STEPS, "batch_size": 12, "learning_rate": 1e-3}
SETTINGS = {"ranks": 2, "deepspeed": "zero1", "log_every": 1, "save_every": 8}


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    assert not why_not(), "CI must not skip these tests"
    with pytest.MonkeyPatch.context() as patch, two_nodes() as slurm:
        for name, value in {**slurm.environment, "OMP_NUM_THREADS": "1"}.items():
            patch.setenv(name, value)
        yield slurm


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name a script must quote, with a benchmark, an encoder, a run and a cluster."""
    folder = tmp_path_factory.mktemp("slurm") / "two words"
    tiny_benchmark(folder / "benchmark")
    run = {
        "name": "tiny/run",
        "folder": "runs/straight",
        "model": {"backbone": str(tiny_model(folder / "encoder", folder / "benchmark"))},
        "data": {"root": "benchmark", "cache": "prepared"},
        "train": TRAIN,
        "runtime": SETTINGS,
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(run))
    (folder / "slurm.yaml").write_text(yaml.safe_dump(CLUSTER))
    after = {"run": run, "after": "first", "set": {"train.steps": 2}}
    study = {"name": "chain", "folder": "chain", "stages": {"first": {"run": "run.yaml"}, "second": after}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return folder


def submitted(typed: Typed, place: Path, *words: object) -> str:
    done = typed("xdist", "submit", "run.yaml", "--cluster", "slurm.yaml", *words, cwd=place)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("submitted as job ")[1].split(":")[0]


def told(folder: Path, job: str) -> str:
    """What a failing test shows of a job."""
    log = folder / "job" / f"{job}.log"
    return log.read_text(errors="replace")[-3000:] if log.exists() else f"{log} is not there"


def steps(folder: Path) -> int:
    metrics = folder / "metrics.jsonl"
    return metrics.read_text().count("\n") if metrics.exists() else 0


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["train/loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same_end(folder: Path, other: Path) -> None:
    assert losses(folder) == losses(other)
    for name in ("model.safetensors", "heads.safetensors"):
        found, expected = load_file(folder / "model" / name), load_file(other / "model" / name)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.fixture(scope="module")
def straight(typed: Typed, slurm: Slurm, place: Path) -> Path:
    """A run under DeepSpeed's launcher whose data two jobs of an array have prepared."""
    job = submitted(typed, place, "--prepare", 2, "--set", "launcher=deepspeed")
    folder = place / "runs" / "straight"
    assert slurm.ended(job)["JobState"] == "COMPLETED", told(folder, job)
    return folder


def test_array_prepares_in_parts_before_the_run_begins(slurm: Slurm, place: Path, straight: Path) -> None:
    there = read_json(straight / "job" / "job.json")
    array, whole = there["prepare"]
    for number in (1, 2):
        assert f"part {number} of 2 is done" in (straight / "job" / f"prepare-{array}_{number}.log").read_text()
    assert "prepared: prepared" in (straight / "job" / f"prepared-{whole}.log").read_text()
    parts = [slurm.job(f"{array}_{number}") for number in (1, 2)]
    finish, run = slurm.job(whole), slurm.job(there["job"])
    assert max(part["EndTime"] for part in parts) <= finish["StartTime"]
    assert finish["EndTime"] <= run["StartTime"]
    made = list((place / "prepared").glob("cldr-topic-train-*/manifest.json"))
    assert len(made) == 2
    assert all(path.stat().st_mtime < (straight / "environment.json").stat().st_mtime for path in made)
    assert (straight / "job" / f"hostfile-{there['job']}").read_text() == "n1 slots=1\nn2 slots=1\n"


def test_two_nodes_give_the_losses_of_this_machine(typed: Typed, place: Path, straight: Path) -> None:
    assert (straight / "finished").exists()
    assert read_json(straight / "checkpoints" / f"step-{STEPS:08}" / "manifest.json")["world"] == 2
    done = typed("xdist", "train", "run.yaml", "folder=runs/here", cwd=place)
    assert done.returncode == 0, done.stderr
    assert len(losses(straight)) == STEPS
    assert_same_end(straight, place / "runs" / "here")
    again = typed("xdist", "submit", "run.yaml", "--cluster", "slurm.yaml", cwd=place)
    assert (again.returncode, again.stdout.startswith("tiny/run is finished")) == (0, True)


def test_the_folder_holds_what_is_needed_to_start_again_by_hand(slurm: Slurm, place: Path, straight: Path) -> None:
    assert (straight / "job" / "run.yaml").read_bytes() == (place / "run.yaml").read_bytes()
    assert yaml.safe_load((straight / "job" / "cluster.yaml").read_text())["nodes"] == 2
    job = read_json(straight / "job" / "job.json")["job"]
    before = losses(straight)
    again = slurm.call("sbatch", "--parsable", str(straight / "job" / "job.sbatch"))
    assert again != job
    assert slurm.ended(again)["JobState"] == "COMPLETED", told(straight, again)
    assert losses(straight) == before


def test_status_and_logs(typed: Typed, place: Path, straight: Path) -> None:
    job = read_json(straight / "job" / "job.json")["job"]
    done = typed("xdist", "status", "runs/straight", cwd=place)
    assert done.returncode == 0, done.stderr
    for word in ("tiny/run", "finished", f"{STEPS}/{STEPS}", job):
        assert word in done.stdout
    logs = typed("xdist", "logs", "run.yaml", cwd=place)
    assert (logs.returncode, logs.stdout) == (0, (straight / "job" / f"{job}.log").read_text())
    assert f"{STEPS}/{STEPS}" in logs.stdout


def test_study_goes_in_order_through_time_limit_preemption_and_a_killed_rank(
    typed: Typed, slurm: Slurm, place: Path, straight: Path
) -> None:
    done = typed("xdist", "study", "submit", "study.yaml", "--cluster", "slurm.yaml", cwd=place)
    assert done.returncode == 0, done.stderr
    first, second = (next((place / "chain" / "runs").glob(f"{stage}-????????????????")) for stage in ("first", "second"))
    job, follower = (read_json(folder / "job" / "job.json")["job"] for folder in (first, second))
    assert ["first-s1", job, "submitted"] in [line.split() for line in done.stdout.splitlines()]
    assert ["second-s1", follower, "submitted", "first-s1", job] in [line.split() for line in done.stdout.splitlines()]
    again = typed("xdist", "study", "submit", "study.yaml", "--cluster", "slurm.yaml", cwd=place)
    assert "2 waits or runs already" in again.stdout

    await_that(lambda: steps(first) > 3, f"first steps\n{told(first, job)}")
    refused = typed("xdist", "submit", first / "config.yaml", "--cluster", "slurm.yaml", cwd=place)
    assert (refused.returncode, f"job {job} of this run is" in refused.stderr) == (2, True)
    slurm.call("scancel", "--batch", "--signal=USR1", job)  # what --signal=B:USR1@… sends before the limit
    await_that(lambda: slurm.job(job)["Restarts"] == "1", f"requeue\n{told(first, job)}")
    assert (first / "unfinished").exists()
    saved = last_saved(first)
    assert 3 < saved < STEPS
    await_that(lambda: life(first) == 1, "second life")
    await_that(lambda: last_saved(first) > saved, f"second life\n{told(first, job)}")
    slurm.call("scontrol", "requeue", job)  # preemption
    await_that(lambda: life(first) == 2, f"third life\n{told(first, job)}")
    assert slurm.job(job)["Restarts"] == "2"
    saved = last_saved(first)
    assert saved < STEPS
    await_that(lambda: last_saved(first) > saved, f"its first checkpoint\n{told(first, job)}")
    os.kill(rank_of(first), signal.SIGKILL)
    await_that(lambda: slurm.job(job)["Restarts"] == "3", f"requeue of a broken run\n{told(first, job)}")
    assert slurm.job(follower)["JobState"] == "PENDING"
    assert slurm.ended(job)["JobState"] == "COMPLETED", told(first, job)
    assert_same_end(first, straight)

    assert slurm.ended(follower)["JobState"] == "COMPLETED", told(second, follower)
    assert slurm.job(job)["EndTime"] <= slurm.job(follower)["StartTime"]
    assert yaml.safe_load((second / "config.yaml").read_text())["model"]["backbone"] == str(first.relative_to(place) / "model")
    finished = typed("xdist", "study", "submit", "study.yaml", "--cluster", "slurm.yaml", cwd=place)
    assert "2 finished" in finished.stdout
    assert [read_json(folder / "job" / "job.json")["job"] for folder in (first, second)] == [job, follower]


@pytest.mark.timeout(max(600, 60 * RUNS))
def test_many_runs_as_an_array_with_a_throttle_while_a_node_is_drained(typed: Typed, slurm: Slurm, place: Path) -> None:
    """XDIST_STUDY_RUNS=200 XDIST_STUDY_AT_ONCE=4 makes it a study of 200, of half an hour or more."""
    run = yaml.safe_load((place / "run.yaml").read_text())
    run["train"] |= {"steps": 20, "tasks": [{"task": "cldr-topic", "languages": ["en"]}]}
    study = {
        "name": "many",
        "folder": "many",
        "stages": {"first": {"run": run}, "second": {"run": run, "after": "first"}},
        "axes": {"updates": {str(number): {"second": {"train.steps": number}} for number in (20, 21, 22)}},
        "seeds": list(range(1, RUNS // 4 + 1)),
    }
    assert typed("xdist", "prepare", "run.yaml", cwd=place).returncode == 0
    (place / "many.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    words = ("--cluster", "slurm.yaml", "--set", "nodes=1", "--at-once", AT_ONCE)
    done = typed("xdist", "study", "submit", "many.yaml", *words, cwd=place)
    assert done.returncode == 0, done.stderr
    folders = [
        path.resolve() for path in sorted((place / "many" / "arrays" / "1").glob("[0-9]*"), key=lambda one: int(one.name))
    ]
    assert len(folders) == RUNS
    array = read_json(folders[0] / "job" / "job.json")["job"].split("_")[0]
    running, hosts, late, drained = 0, dict[str, str](), -1, 0
    while left := [line.split() for line in slurm.call("squeue", "--noheader", "--format=%i %T %N %A").splitlines()]:
        at_work = [words for words in left if words[1] == "RUNNING"]
        assert len(at_work) <= AT_ONCE
        running = max(running, len(at_work))
        finished = sum((folder / "finished").exists() for folder in folders)
        if drained == 0 and finished >= RUNS // 4:  # n1 loses what is to come, not what it does
            slurm.call("scontrol", "update", "nodename=n1", "state=drain", "reason=test")
            drained, before = 1, {words[0] for words in at_work}
        if drained == 1:
            hosts |= {words[0]: words[2] for words in at_work if words[0] not in before}
        if drained == 1 and finished >= RUNS // 2:
            slurm.call("scontrol", "update", "nodename=n1", "state=resume")
            drained = 2
        number = next((int(words[0].split("_")[1]) for words in at_work if words[3] == array), 0)
        if late < 0 and number and (folders[number - 1] / "job" / "restarts").exists():
            time.sleep(0.3)  # the script has read it, and listens
            slurm.call("scancel", "--batch", "--signal=USR1", f"{array}_{number}")
            late = number  # its number alone stands for the array
        time.sleep(0.2)
    assert (running, drained, {*hosts.values()}, late > 0) == (AT_ONCE, 2, {"n2"}, True)
    for number, folder in enumerate(folders, start=1):
        job = slurm.job(f"{array}_{number}")
        restarts = int(number == late)  # it alone reached its time limit, and alone was queued again
        assert (job["JobState"], job["Restarts"]) == ("COMPLETED", str(restarts)), told(folder, f"{array}_{number}")
        wanted = yaml.safe_load((folder / "config.yaml").read_text())["train"]["steps"]
        assert [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()] == [
            *range(1, wanted + 1)
        ]
        assert [path.name for path in folder.glob("job/*.log")] == [f"{array}_{number}.log"]
    again = typed("xdist", "study", "submit", "many.yaml", *words, cwd=place)
    assert f"{RUNS} finished" in again.stdout
    assert [path.name for path in (place / "many" / "arrays").iterdir()] == ["1"]


def life(folder: Path) -> int:
    """The number of the life that has started, from 0: by then the ranks of the one before, which save last, are gone."""
    return int((folder / "job" / "restarts").read_text() or -1)


def last_saved(folder: Path) -> int:
    found = tags.list_tags(folder / "checkpoints")
    return found[-1].step if found else 0


def rank_of(folder: Path) -> int:
    """The process of one rank of the run in `folder`."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
            environment = (path.parent / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"{folder}/config.yaml".encode() in words and b"RANK=1" in environment:
            return int(path.parent.name)
    raise AssertionError("no rank found")


def test_doctor_lets_both_nodes_meet(typed: Typed, slurm: Slurm, place: Path) -> None:
    done = typed("xdist", "doctor", "--cluster", "slurm.yaml", "--folder", "runs", "--json", cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert [one["host"] for one in found if one["check"] == "compiler"] == ["", "n1", "n2"]
    assert next(one["says"].split(":")[0] for one in found if one["check"] == "network") == "n1 and n2"
    for check in ("interfaces", "clocks"):
        assert [one["level"] for one in found if one["check"] == check] == ["good"]
    refused = typed("xdist", "doctor", "--cluster", "slurm.yaml", "--folder", "runs", "--set", "partition=nope", cwd=place)
    assert (refused.returncode, "Invalid partition name" in refused.stderr) == (2, True)


ODD = """#!/bin/bash
[ "$SLURMD_NODENAME" = n1 ] || export PYTHONPATH=$(dirname "$0")
exec "$@"
"""
AHEAD = "import time\nright = time.time\ntime.time = lambda: right() + 90\n"


def test_doctor_says_where_nodes_differ(typed: Typed, slurm: Slurm, place: Path) -> None:
    """n2 has other packages than n1, and a clock that is ahead."""
    odd = place / "odd"
    (odd / "jinja2-1.0.dist-info").mkdir(parents=True)
    (odd / "jinja2-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: Jinja2\nVersion: 1.0\n")
    (odd / "sitecustomize.py").write_text(AHEAD)
    (odd / "python").write_text(ODD)
    (odd / "python").chmod(0o755)
    words = ("--cluster", "slurm.yaml", "--folder", "runs", "--json", "--set", f"wrap=\"'{odd}/python'\"")
    found = json.loads(typed("xdist", "doctor", *words, cwd=place).stdout)
    said = [(one["check"], one["level"], one["host"], one["says"]) for one in found if one["level"] != "good"]
    assert ("clocks", "note", "", "n2 and n1 are 90.0 s apart") in said
    (package,) = [one for one in said if one[3].lower().startswith("jinja2 1.0, but ")]
    assert package[1:3] == ("note", "n2")


def test_failing_run_is_not_requeued(typed: Typed, slurm: Slurm, place: Path) -> None:
    mistake = ("folder=runs/failing", "model.backbone=no/such/encoder")
    refused = typed("xdist", "submit", "run.yaml", "--cluster", "slurm.yaml", *mistake, cwd=place)
    assert (refused.returncode, refused.stderr) == (2, "xdist: no/such/encoder: no such folder (model.backbone)\n")
    job = submitted(typed, place, *mistake, "--set", "data=remote")  # where nothing is looked at before the job begins
    ended = slurm.ended(job)
    assert (ended["JobState"], ended["Restarts"]) == ("FAILED", "0")
    assert "no/such/encoder: no such folder" in (place / "runs" / "failing" / "failed").read_text()
    after = submitted(typed, place, "folder=runs/never", "--after", job)
    assert slurm.ended(after)["JobState"] == "CANCELLED"


def test_cancelled_run_is_saved_and_stays_cancelled(typed: Typed, slurm: Slurm, place: Path) -> None:
    folder = place / "runs" / "cancelled"
    job = submitted(typed, place, "folder=runs/cancelled", "train.steps=2000")
    await_that(lambda: tags.list_tags(folder / "checkpoints"), f"first checkpoint\n{told(folder, job)}")
    slurm.call("scancel", job)
    await_that(lambda: not slurm.call("squeue", "--noheader", "--states=PD,R,CG", f"--jobs={job}"), "the job leaves")
    ended = slurm.job(job)
    assert (ended["JobState"], ended["Restarts"]) == ("CANCELLED", "0")
    assert "requeue" not in told(folder, job).lower()


def test_sbatch_refuses_what_the_cluster_has_not(typed: Typed, slurm: Slurm, place: Path) -> None:
    for setting, said in (("partition=nope", "Invalid partition name"), ("gpus_per_node=4", "not available")):
        # One processor: a job that wants more of them than nodes have is taken, and waits.
        words = ("--set", setting, "--set", "cpus_per_node=1", "folder=runs/refused")
        done = typed("xdist", "submit", "run.yaml", "--cluster", "slurm.yaml", *words, cwd=place)
        assert done.returncode == 2
        assert done.stderr.startswith("xdist: sbatch: ")
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1


APPTAINER = """#!/bin/bash
echo "$*" >>"$(dirname "$0")/said"
[ "$1" = exec ] && shift
while [[ $1 == --* ]]; do [ "$1" != --bind ] || { [ -e "${2%%:*}" ] && shift; } || exit 255; shift; done
[ -f "$1" ] && shift && exec "$@"
"""


def test_a_site_that_has_only_gres_a_container_and_mail(typed: Typed, slurm: Slurm, place: Path) -> None:
    """A substitute for Apptainer takes its arguments, and needs the bound folders and the image to exist."""
    tools = place / "tools"
    tools.mkdir()
    (tools / "apptainer").write_text(APPTAINER)
    (tools / "apptainer").chmod(0o755)
    (tools / "xdist.sif").touch()
    site = [f"container={tools}/xdist.sif", f"python={sys.executable}", "memory=null"]
    site += ["mail_user=me@uni.example", "sbatch=['--comment=\"two words\"']", f"setup=[\"export PATH='{tools}':$PATH\"]"]
    words = [word for one in site for word in ("--set", one)]
    dry = typed(
        *("xdist", "submit", "run.yaml", "--cluster", "slurm.yaml", "--dry-run", "folder=runs/site"),
        *(*words, "--set", "gres=gpu:1", "--set", "gpus_per_node=1", "--set", "cpus_per_node=4", "--set", "scratch=/tmp"),
        cwd=place,
    )
    assert dry.returncode == 0, dry.stderr
    (place / "site.sbatch").write_text(dry.stdout)
    slurm.call("sbatch", "--test-only", str(place / "site.sbatch"))
    job = submitted(typed, place, "folder=runs/site", "train.steps=2", *words)
    ended = slurm.ended(job)
    assert ended["JobState"] == "COMPLETED", told(place / "runs" / "site", job)
    said = (tools / "said").read_text().splitlines()
    assert len(said) == 3  # who works in the folder, and the launcher of each node
    assert all(f"exec --bind {place} {tools}/xdist.sif {sys.executable} -m" in one for one in said)


def test_submission_without_slurm_says_so(typed: Typed, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = (
        "ClusterName=x",
        "MessageTimeout=2",
        "AuthType=auth/none",
        "SlurmctldHost=localhost(127.0.0.1)",
        "SlurmctldPort=1",
        "NodeName=n1",
    )
    (tmp_path / "slurm.conf").write_text("\n".join(nobody) + "\n")
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    done: subprocess.CompletedProcess[str] = typed(
        "xdist", "submit", "run.yaml", "--cluster", "slurm.yaml", "folder=runs/none", cwd=place
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
