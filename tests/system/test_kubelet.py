"""The pods of a rendered job as processes: a simulated kubelet gives them their command, environment and volumes.

What Kubernetes adds is added here: the Indexed Job's index, the torch policy's PET_ variables, names of pods, mounts. All
below it, from process 1 to the ranks and the run folder, is real.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny import tiny_benchmark, tiny_model

from xdist.checkpoint import tags
from xdist.config import load_run
from xdist.files import shipped
from xdist.launch import submission
from xdist.launch.clusters import load_cluster

pytestmark = pytest.mark.cluster
SECONDS = 400


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The volumes for data and runs, the latter with an encoder, and a run."""
    folder = tmp_path_factory.mktemp("volumes")
    tiny_benchmark(folder / "data")
    (folder / "runs").mkdir()
    tiny_model(folder / "runs" / "encoder", folder / "data")
    run = {
        "name": "tiny",
        "folder": "tiny/run",
        "model": {"backbone": "encoder"},
        "data": {"root": "anywhere"},
        "train": {"tasks": [{"task": "cldr-topic"}], "steps": 40, "batch_size": 12, "learning_rate": 1e-3},
        "evaluate": {"tasks": ["cldr-names"]},
        "runtime": {"deepspeed": "zero1", "log_every": 1, "save_every": 8},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(run))
    return folder


def pods(volumes: Path, form: str, *overrides: str, parts: int = 0) -> list[subprocess.Popen[bytes]]:
    """Start what `xdist submit` would hand over for two nodes, each pod a process; of `mpi` the launcher's, with both ranks."""
    mpi = form == "mpi"
    settings = [
        "policy=mpi" if mpi else f"form={form}",
        f"runs.path={volumes / 'runs'}",
        f"data.path={volumes / 'data'}",
        f"python={sys.executable}",
    ]
    settings += ["gpus_per_node=0", "cpu='1'", "environment={DS_ACCELERATOR: cpu}", "prepare.cpus=1"]
    cluster = load_cluster(shipped("jobs") / "clusters" / "kubernetes.yaml", settings)
    plan = submission.plan(load_run(volumes / "run.yaml", overrides), volumes / "run.yaml", cluster, parts=parts)
    (text,) = plan.texts.values()
    objects = {one["kind"]: one for one in yaml.safe_load_all(text)}
    mounted = volumes / "config"
    mounted.mkdir(exist_ok=True)
    for name, text in objects["ConfigMap"]["data"].items():
        (mounted / name).write_text(text)
    if form == "job":
        container = objects["Job"]["spec"]["template"]["spec"]["containers"][0]
        count = objects["Job"]["spec"]["completions"]
    else:
        container = objects["TrainJob"]["spec"]["trainer"]
        count = 1 if mpi else container["numNodes"]
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = str(sock.getsockname()[1])
    return [_pod(container, node, count, port, volumes) for node in range(count)]


def _pod(container: dict[str, Any], node: int, count: int, port: str, volumes: Path) -> subprocess.Popen[bytes]:
    scratch = volumes / f"scratch-{node}"
    scratch.mkdir(exist_ok=True)
    values: dict[str, str] = {}
    for entry in container["env"]:
        if "valueFrom" in entry:
            assert entry["valueFrom"]["fieldRef"]["fieldPath"].endswith("['batch.kubernetes.io/job-completion-index']")
            values[entry["name"]] = str(node)
        else:
            values[entry["name"]] = entry["value"].replace("$$", "$").replace("/scratch", str(scratch))
    values["JOB_COMPLETION_INDEX"] = str(node)
    if "--mpi" in container["command"]:  # as the MPI policy does, but that the nodes' sshd is left out: both ranks are here
        (scratch / "hostfile").write_text("localhost slots=2\n")
        values |= {"OMPI_MCA_orte_default_hostfile": str(scratch / "hostfile"), "MASTER_PORT": port}
        values |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    elif "numNodes" in container:  # as the torch policy does
        values |= {"PET_NNODES": str(count), "PET_NODE_RANK": str(node), "PET_NPROC_PER_NODE": str(container["numProcPerNode"])}
    values |= {"PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": port}  # the headless Service's name
    inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "TORCH_EXTENSIONS_DIR", "CXX") if name in os.environ}
    if "TORCH_EXTENSIONS_DIR" not in inherited:  # what was compiled for earlier tests need not be compiled again
        del values["TORCH_EXTENSIONS_DIR"]
        values["HOME"] = os.environ["HOME"]
    command = [word.replace("/etc/xdist", str(volumes / "config")) for word in container["command"]]
    return subprocess.Popen(command, env={**values, **inherited}, cwd=scratch, stderr=(scratch / "stderr").open("wb"))


def ended(started: list[subprocess.Popen[bytes]]) -> list[int]:
    try:
        return [pod.wait(timeout=SECONDS) for pod in started]
    finally:
        for pod in started:
            if pod.poll() is None:
                pod.kill()


def steps(folder: Path) -> list[int]:
    metrics = folder / "metrics.jsonl"
    return [json.loads(line)["step"] for line in metrics.read_text().splitlines()] if metrics.exists() else []


def test_parts_are_prepared_by_pods_of_their_own(volumes: Path) -> None:
    assert ended(pods(volumes, "job", parts=2)) == [0, 0]
    shards = list((volumes / "runs" / "prepared").glob("cldr-*/*.arrow"))
    assert {path.parent.name.rsplit("-", 1)[0] for path in shards} > {"cldr-topic-train-en", "cldr-names-test-de"}
    assert not (volumes / "runs" / "tiny").exists()


def test_preempted_pod_stops_all_which_go_on_when_started_again(volumes: Path) -> None:
    folder = volumes / "runs" / "tiny" / "run"
    started = pods(volumes, "trainjob")
    limit = time.monotonic() + SECONDS
    while len(steps(folder)) < 4:
        assert time.monotonic() < limit
        assert all(pod.poll() is None for pod in started), (volumes / "scratch-0" / "stderr").read_text()[-3000:]
        time.sleep(0.1)
    started[1].send_signal(signal.SIGTERM)  # the notice of preemption, to one pod only
    assert ended(started) == [75, 75]
    assert (folder / "unfinished").exists()
    saved = tags.list_tags(folder / "checkpoints")[-1]
    assert (4 <= saved.step < 40, saved.manifest["world"]) == (True, 2)
    assert ended(pods(volumes, "job")) == [0, 0]
    assert (folder / "finished").exists()
    assert steps(folder) == list(range(1, 41))
    assert (folder / "scores.json").exists()


def test_user_error_is_not_tried_again(volumes: Path) -> None:
    assert ended(pods(volumes, "trainjob", "folder=tiny/wrong", "model.backbone=no/such/encoder")) == [2, 2]
    assert "no/such/encoder" in (volumes / "runs" / "tiny" / "wrong" / "failed").read_text()


@pytest.mark.skipif(shutil.which("mpirun") is None and "XDIST_CI" not in os.environ, reason="no mpirun: openmpi-bin")
def test_mpi_policy_starts_the_ranks_that_meet(volumes: Path) -> None:
    folder = volumes / "runs" / "tiny" / "mpi"
    ending = ended(pods(volumes, "mpi", "folder=tiny/mpi", "train.steps=3", "evaluate=null"))
    assert ending == [0], (volumes / "scratch-0" / "stderr").read_text()[-3000:]
    assert steps(folder) == [1, 2, 3]
    assert tags.list_tags(folder / "checkpoints")[-1].manifest["world"] == 2
