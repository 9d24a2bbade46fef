"""Whether the ranks of a cluster meet: a small job, started as a run would be, in which all of them exchange tensors."""

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from xdist.config import Cluster
from xdist.files import read_json, write_text
from xdist.launch.call import call
from xdist.launch.clusters import kind_of
from xdist.launch.direct import Hosts, Local
from xdist.launch.doctor import clocks, interfaces, versions
from xdist.launch.doctor.finding import Finding, size
from xdist.launch.doctor.interfaces import GLOO, NCCL
from xdist.launch.doctor.machine import BUILD, GPUS
from xdist.launch.doctor.meeting import NODE, RESULT
from xdist.launch.job import Job
from xdist.launch.local import environment
from xdist.launch.scheduler import Scheduler
from xdist.run import devices

CHECK = "network"
SECONDS = 300.0  # for launchers to start, all to meet and every pair to be timed
QUEUE_SECONDS = 900.0  # for a scheduler to give the nodes, besides
SLOW_PAIR = 0.5  # of the median


def check(cluster: Cluster, folder: Path) -> list[Finding]:
    """What became of a meeting on the nodes of `cluster`; `folder`, for runs, is where it is prepared. What the nodes found on
    themselves is among it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-", ignore_cleanup_errors=True) as inside:
        place = Path(inside).absolute()
        (place / "job").mkdir()
        if isinstance(cluster, Hosts) and (silent := _unreachable(cluster)):
            return silent
        output = _hold_meeting(cluster, place)
        if not (place / RESULT).is_file():
            return [_failed_finding(output)]
        return judge(read_json(place / RESULT))


def judge(result: Mapping[str, Any]) -> list[Finding]:
    """Of what the ranks left behind."""
    nodes = result["nodes"]
    findings = [Finding(**{**one, "host": node["host"]}) for node in nodes for one in node["findings"]]
    findings += versions.judge_alike([(node["host"], node["facts"]) for node in nodes])
    if not all(one["right"] for one in (result["all"], *result["pairs"])):
        do = "suspect the network card or its driver; NCCL_DEBUG=INFO says more"
        return [*findings, Finding(CHECK, "bad", "an all-reduce gave a wrong sum", do)]
    findings += _links(result["pairs"])
    hosts = [node["host"] for node in nodes]
    findings += interfaces.judge([(node["host"], node["interfaces"]) for node in nodes])
    findings += clocks.judge(hosts, result["clocks"])
    together = f"{result['world']} ranks on {len(nodes)} node{'s' * (len(nodes) > 1)} meet by {result['backend']}"
    return [*findings, Finding(CHECK, "good", f"{together}, all-reduce at {size(result['all']['bytes_per_second'])}/s")]


def _links(pairs: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """How fast each pair is; of a node to which every link is slow that is said once."""
    best: dict[str, float] = {}
    for pair in pairs:
        for name in pair["between"]:
            best[name] = max(best.get(name, 0.0), pair["bytes_per_second"])
    middle = median(best.values() or [0.0])
    slow = [name for name, speed in best.items() if speed < SLOW_PAIR * middle]
    do = f"see which interface they use ({NCCL}, {GLOO}), or leave one of them out"
    findings = [
        Finding(
            CHECK,
            "note",
            f"every link to it is slow, the best has {size(best[name])}/s, other nodes {size(middle)}/s",
            do,
            name,
        )
        for name in slow
    ]
    other_pairs = [pair for pair in pairs if not {*pair["between"]} & {*slow}]
    middle = median([pair["bytes_per_second"] for pair in other_pairs] or [0.0])
    for pair in other_pairs:
        between, speed = " and ".join(pair["between"]), pair["bytes_per_second"]
        if speed < SLOW_PAIR * middle:
            findings.append(Finding(CHECK, "note", f"{between}: {size(speed)}/s, the median pair has {size(middle)}/s", do))
        else:
            findings.append(Finding(CHECK, "good", f"{between}: {size(speed)}/s"))
    return findings


NO_INTERFACE = "in `environment` names an interface that a node does not have; `ip address` shows which there are"
HINTS = {
    "Unable to find address for": f"{GLOO} {NO_INTERFACE}",
    "no socket interface found": f"{NCCL} {NO_INTERFACE}",
    "onnection refused": "a host's own name may resolve to 127.0.1.1: set GLOO_SOCKET_IFNAME in `environment`; see /etc/hosts",
    "imed out": "a firewall may close the ports between the nodes, or one of them has not come",
    "imeout": "a firewall may close the ports between the nodes, or one of them has not come",
    "pdsh": "install pdsh (apt-get install pdsh), or start by hand (ssh: false)",
    "No module named": "the hosts must see the same files and environment under the same paths",
}


def _failed_finding(output: str) -> Finding:
    lines = [line for line in output.strip().splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if "Error" in line or "rror:" in line), lines[-1] if lines else "nothing")
    do = next((hint for word, hint in HINTS.items() if word in output), "NCCL_DEBUG=INFO in `environment` says more")
    return Finding(CHECK, "bad", f"the ranks did not meet: {last.strip()[-300:]}", do)


def _hold_meeting(cluster: Cluster, place: Path) -> str:
    """Hold the meeting in `place`; returns what the launchers said."""
    kind = kind_of(cluster)
    wish = {BUILD: os.environ[BUILD]} if BUILD in os.environ else {}
    variables = {**cluster.environment, GPUS: str(cluster.gpus_per_node), **wish}
    if isinstance(kind, Scheduler) and kind.node_variable:
        variables[NODE] = kind.node_variable
    trial = cluster.model_copy(update={"environment": variables})
    if isinstance(kind, Scheduler):
        trial = kind.trial(trial)
    python = trial.interpreter
    job = Job("doctor", "launch.doctor.meeting", place, Path.cwd(), python)
    texts = kind.render(job, trial, "")
    for name, text in texts.items():
        write_text(job.files / name, text)
    first = job.files / next(iter(texts), "")
    if isinstance(kind, Scheduler):
        return _queued(kind, first)
    if texts:
        return _run(["bash", str(first)], dict(os.environ))
    words = [python, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={trial.ranks}"]
    variables_here = {**environment(trial.ranks), **variables}
    return _run([*words, "-m", "xdist.launch.doctor.meeting", str(place / "config.yaml")], variables_here)


def _run(words: Sequence[str], variables: Mapping[str, str]) -> str:
    process = subprocess.Popen(
        words, env=dict(variables), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        return process.communicate(timeout=SECONDS)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        return process.communicate()[0] + f"\ntimed out after {SECONDS:.0f} s"


def _queued(scheduler: Scheduler[Any], file: Path) -> str:
    """Hand the job over, wait for its end, but not for ever; returns what it said."""
    job = scheduler.submit(file)
    limit = time.monotonic() + SECONDS + QUEUE_SECONDS
    try:
        while not (status := scheduler.state(job)).state.over:
            if time.monotonic() > limit:
                return f"job {job} is {status.says} after {(SECONDS + QUEUE_SECONDS) / 60:.0f} minutes"
            time.sleep(0.5)
    finally:
        if not scheduler.state(job).state.over:
            scheduler.cancel(job)
    log = scheduler.log(job, file.parent, 1000, False)
    if not isinstance(log, Path):
        return call(log)
    return log.read_text(errors="replace") if log.is_file() else f"job {job} ended as {status.says} without a word"


def _unreachable(cluster: Hosts) -> list[Finding]:
    """The hosts that ssh does not reach without a question; by hand, what to type."""
    if not cluster.ssh:
        says = "hosts that are started by hand cannot be started from here"
        return [Finding(CHECK, "note", says, "run `xdist doctor` on each; the first steps of a run show whether they meet")]
    words = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    try:
        started = [
            subprocess.Popen([*words, host, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for host in cluster.hosts
        ]
    except FileNotFoundError:
        return [Finding(CHECK, "bad", "no ssh", "install it (apt-get install openssh-client), or start by hand (ssh: false)")]
    findings = []
    for host, process in zip(cluster.hosts, started, strict=True):
        lines = process.communicate()[1].strip().splitlines()
        if process.returncode:
            do = f"`ssh {host} true` must work without a question: ssh-copy-id {host}, ssh-keyscan {host} >>~/.ssh/known_hosts"
            findings.append(
                Finding(CHECK, "bad", f"ssh: {lines[-1] if lines else f'exit code {process.returncode}'}", do, host)
            )
    return findings


def this_machine() -> Local:
    """This machine, where no cluster is named: a rank per GPU that is visible, or two."""
    return Local(kind="local", ranks_per_node=len(devices.visible_gpus()) or 2)
