"""A scheduler that xdist does not ship, registered from one file, works through the commands; no other code knows its words."""

import ast
import json
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from lsf_cluster import LsfCluster
from pages import ROOT
from registered import forgetting
from tiny import tiny_benchmark

import xdist
from xdist.cli import main
from xdist.launch.clusters import load_cluster, scheduler
from xdist.launch.doctor import reach
from xdist.launch.doctor.finding import Finding
from xdist.launch.kubernetes import KUBERNETES
from xdist.launch.scheduler import JobState, Scheduler
from xdist.launch.slurm import SLURM
from xdist.launch.status import status

LSF = ROOT / "tests/third_party/lsf.py"
# Stands for the ranks of a job, which start in a moment here: tests/system lets real ones train.
PYTHON = """#!/bin/bash
for last; do :; done
folder=$(dirname "$last")
case "$*" in
  *xdist.cli*) echo "prepared $*" ;;
  *meeting*) cp met.json "$folder/meeting.json" && touch "$folder/finished" || echo "RuntimeError: no route to n2" ;;
  *) echo "trained $*"; echo '{"step": 3, "train/loss": 0.5}' >>"$folder/metrics.jsonl"
     [ -e broken ] || touch "$folder/environment.json" "$folder/finished" ;;
esac
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_benchmark(tmp_path / "benchmark")
    common = {"model": {"backbone": "encoder"}, "data": {"root": "benchmark"}}
    train = {"tasks": [{"task": "cldr-topic"}], "steps": 3}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"name": "mine", "folder": "runs/mine", **common, "train": train}))
    second = {"run": {**common, "train": {**train, "steps": 4}}, "after": "first"}
    stages = {"first": {"run": {**common, "train": train}}, "second": second}
    axes = {"robust": {"plain": {}, "noisy": {"second": {"robust": {"method": "random"}}}}}
    study = {"name": "small", "folder": "out", "stages": stages, "axes": axes}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    lsf = {"kind": "lsf", "time_limit": "2h", "python": str(tmp_path / "python"), "environment": {"A": "it's"}}
    (tmp_path / "lsf.yaml").write_text(yaml.safe_dump(lsf))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def cluster(place: Path, monkeypatch: pytest.MonkeyPatch) -> LsfCluster:
    made = LsfCluster(place / "commands")
    monkeypatch.setenv("PATH", made.path)
    return made


@pytest.fixture
def registered(place: Path) -> Iterator[None]:
    """The cluster's YAML names the file."""
    with forgetting(), (place / "lsf.yaml").open("a") as file:
        file.write(f"plugins: [{LSF}]\n")
        file.flush()
        yield


def run(line: str) -> Result:
    return CliRunner().invoke(main, shlex.split(line))


def said(line: str) -> str:
    done = run(line)
    assert done.exit_code == 0, done.output
    return done.stdout


def refusal(line: str) -> str:
    done = run(line)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.output
    return done.stderr


SUBMIT = "submit run.yaml --cluster lsf.yaml"


def test_its_name_is_not_valid_before_it_is_registered() -> None:
    assert "unknown kind 'lsf': (valid: hosts, kubernetes, local, slurm)" in refusal(f"{SUBMIT} --dry-run")


def test_its_keys_are_strictly_read(place: Path, registered: None) -> None:
    for setting, says in (
        ("kind=lfs", "unknown kind 'lfs': did you mean 'lsf'? (valid: hosts, kubernetes, local, lsf, slurm)"),
        ("kind=[lsf]", "unknown kind '['lsf']': "),
        ("queu=long", "unknown key 'queu': did you mean 'queue'?"),
        ("queue='a b'", "queue: expected one word"),
        ("time_limit=24", "time_limit: "),
        ("environment={HF_TOKEN: abc}", "'HF_TOKEN' looks like a secret"),
    ):
        assert says in refusal(f'{SUBMIT} --set "{setting}"')
    (place / "here.yaml").write_text(f"{{plugins: [{LSF}], kind: local}}\n")
    for option in ("--after", "--prepare"):
        assert f"{option}: needs a cluster of kind slurm" in refusal(f"submit run.yaml --cluster here.yaml {option} 7")
        assert "and lsf, here.yaml is of kind 'local'" in refusal(f"submit run.yaml --cluster here.yaml {option} 7")
    (place / "other.py").write_text(f"# other\n{LSF.read_text()}")
    more = f'{SUBMIT} --dry-run --set "plugins=[{LSF}, other.py]"'
    assert f"plugins.1: other.py:91: kind 'lsf' is already registered, in {LSF}" in refusal(more)
    assert "plugins=lsf.py (command line): plugins: expected a list: [a, b]" in refusal(f"{SUBMIT} --set plugins=lsf.py")


def test_dry_run_shows_its_text(place: Path, registered: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place / "nothing"))
    shown = said(f"{SUBMIT} --dry-run --prepare 2")
    assert '#BSUB -J "mine"\n#BSUB -q normal\n#BSUB -W 120\n' in shown
    assert '#BSUB -J "mine-prepare[1-2]"\n' in shown
    assert not (place / "runs").exists()
    assert "bsub: no such command on this machine; --dry-run shows the file without it" in refusal(SUBMIT)


def test_a_run_from_the_queue_to_its_end(place: Path, registered: None, cluster: LsfCluster) -> None:
    done = said(SUBMIT)
    told = f"  bjobs 101\n  bkill 101\n  xdist status runs/mine --plugin {LSF}\n"
    assert done.startswith(f"submitted as job 101: runs/mine/job/job.lsf\n{told}")
    assert "where it is stopped before its end, the same command resumes" in done
    assert "job 101 of this run is PEND; end it first, or wait" in refusal(SUBMIT)
    assert [word for word in said("status").split() if word in ("queued", "101", "PEND")] == ["queued", "101", "PEND"]
    assert "job 101 has no output yet: PEND" in refusal("logs run.yaml")
    cluster.turn()
    found = status(place / "runs/mine")
    assert (found.state, found.job, found.step) == ("finished", "101 DONE", 3)
    assert said(SUBMIT).startswith("mine is finished: runs/mine")


def test_logs_are_in_the_file_it_names(
    place: Path, registered: None, cluster: LsfCluster, capfd: pytest.CaptureFixture[str]
) -> None:
    said(SUBMIT)
    cluster.turn()
    assert run("logs run.yaml --lines 1").exit_code == 0
    assert capfd.readouterr().out.startswith("trained -m torch.distributed.run --standalone --nproc-per-node 1 -m xdist.train")


def test_parts_that_prepare_come_first_and_the_run_waits_for_them(place: Path, registered: None, cluster: LsfCluster) -> None:
    assert "submitted as job 102: runs/mine/job/job.lsf" in said(f"{SUBMIT} --prepare 2")
    assert cluster.waits() == {"101": "", "102": "101"}
    assert status(place / "runs/mine").job == "102 PEND (Job dependency condition not satisfied)"
    cluster.turn()
    logs = [(place / f"runs/mine/job/prepare-101_{number}.log").read_text() for number in (1, 2)]
    assert [log.split("--part ")[1] for log in logs] == ["1/2\n", "2/2\n"]
    assert status(place / "runs/mine").state == "finished"
    kept = json.loads((place / "runs/mine/job/job.json").read_text())
    assert (kept["kind"], kept["job"], kept["prepare"]) == ("lsf", "102", ["101"])


def test_what_waits_says_where_those_before_it_speak(place: Path, registered: None, cluster: LsfCluster) -> None:
    said(f"{SUBMIT} --prepare 2")
    (place / "runs/mine/job/prepare-101_1.log").touch()
    assert "; see runs/mine/job/prepare-101_1.log" in refusal("logs run.yaml")


def test_a_refused_job_takes_back_those_before_it(place: Path, registered: None, cluster: LsfCluster) -> None:
    (cluster.folder / "room").write_text("1")
    assert "bsub: User <me>: the limit of pending jobs is reached" in refusal(f"{SUBMIT} --prepare 2")
    assert scheduler("lsf").state("101").says == "EXIT (TERM_OWNER: job killed by owner)"
    assert not (place / "runs/mine/job/job.json").exists()


@pytest.mark.parametrize(
    ("happens", "state", "job", "note"),
    [
        ("echo EXIT >jobs/101/stat", "lost", "101 EXIT", "its job ended without a word; xdist logs runs/mine, then submit it"),
        ("./bkill 101", "lost", "101 EXIT (TERM_OWNER: job killed by owner)", "its job was ended from outside, or will never"),
        ("rm -r jobs/101", "lost", "101 gone", "its job ended without a word"),
        ("echo RUN >jobs/101/stat", "queued", "101 RUN", ""),  # no rank has started
        ("touch down", "queued", "101 UNKNOWN (bjobs: LSF is down. Please wait ...)", ""),
    ],
)
def test_what_becomes_of_a_job(
    place: Path, registered: None, cluster: LsfCluster, happens: str, state: str, job: str, note: str
) -> None:
    said(SUBMIT)
    subprocess.run(["bash", "-c", happens], cwd=cluster.folder, check=True)
    found = status(Path("runs/mine"))
    assert (found.state, found.job) == (state, job)
    assert found.reason.startswith(note)
    assert bool(found.reason) == bool(note)
    done = run(SUBMIT)
    assert ("submitted as job" in done.stdout) == (state == "lost"), done.output


def test_a_run_of_a_scheduler_that_is_not_known_here_is_not_lost(place: Path, registered: None, cluster: LsfCluster) -> None:
    with forgetting():
        said(SUBMIT)
    found = status(place / "runs/mine")
    assert found.state == "queued"
    says = "runs/mine/job/job.json: scheduler 'lsf' is not installed here"
    assert says in found.job
    assert says in refusal("logs run.yaml")
    assert "UNKNOWN" in said("status")
    assert "PEND" in said(f"status --plugin {LSF}")
    assert "job 101 has no output yet: PEND" in refusal(f"logs run.yaml --plugin {LSF}")


def test_doctor_lets_its_nodes_meet(place: Path, registered: None, cluster: LsfCluster) -> None:
    options = load_cluster(place / "lsf.yaml")

    def looked() -> Finding:
        turning = threading.Timer(0.2, cluster.turn)
        turning.start()
        found = reach.check(options, place / "runs")
        turning.join()
        return found[-1]

    assert looked().says == "the ranks did not meet: RuntimeError: no route to n2"
    timed = {"seconds": 0.1, "bytes_per_second": 1e9, "right": True}
    nodes = [{"host": "n1", "findings": [], "facts": {}, "interfaces": {}}]
    met = {"backend": "gloo", "world": 1, "nodes": nodes, "clocks": [0.0], "all": timed, "pairs": []}
    (place / "met.json").write_text(json.dumps(met))
    assert looked().says == "1 ranks on 1 node meet by gloo, all-reduce at 1 GB/s"
    assert [path.name for path in (place / "runs").iterdir()] == []


def test_study(place: Path, registered: None, cluster: LsfCluster) -> None:
    line = "study submit study.yaml --cluster lsf.yaml"
    assert "3 would be submitted" in said(f"{line} --dry-run")
    said(line)
    assert cluster.waits() == {"101": "", "102": "101", "103": "101"}
    assert "3 waits or runs already" in said(line)
    (place / "broken").touch()
    cluster.turn()
    assert scheduler("lsf").state("102").state is JobState.STOPPED
    (place / "broken").unlink()
    assert "3 submitted" in said(line)
    assert cluster.waits() == {"101": "", "102": "101", "103": "101", "104": "", "105": "104", "106": "104"}
    cluster.turn()
    assert "3 finished" in said("study status study.yaml")
    assert "3 finished" in said(line)


def test_study_takes_back_what_waits_for_a_job_that_is_gone(place: Path, registered: None, cluster: LsfCluster) -> None:
    line = "study submit study.yaml --cluster lsf.yaml"
    said(line)
    subprocess.run(["rm", "-r", cluster.folder / "jobs/101"], check=True)
    assert "3 submitted" in said(line)
    assert cluster.waits() == {"102": "101", "103": "101", "104": "", "105": "104", "106": "104"}
    assert [scheduler("lsf").state(job).says for job in ("102", "103")] == ["EXIT (TERM_OWNER: job killed by owner)"] * 2


STATES = [
    (SLURM, "PENDING Dependency", JobState.WAITING, "PENDING (Dependency)"),
    (SLURM, "PENDING DependencyNeverSatisfied", JobState.STOPPED, "PENDING (DependencyNeverSatisfied)"),
    (SLURM, "PENDING Priority", JobState.QUEUED, "PENDING (Priority)"),
    (SLURM, "PENDING None", JobState.QUEUED, "PENDING"),
    (SLURM, "REQUEUED None", JobState.QUEUED, "REQUEUED"),
    (SLURM, "RUNNING None", JobState.RUNNING, "RUNNING"),
    (SLURM, "COMPLETING None", JobState.RUNNING, "COMPLETING"),
    (SLURM, "SOMETHING_NEW None", JobState.RUNNING, "SOMETHING_NEW"),
    (SLURM, "COMPLETED None", JobState.FINISHED, "COMPLETED"),
    (SLURM, "FAILED NonZeroExitCode", JobState.FAILED, "FAILED"),
    (SLURM, "NODE_FAIL None", JobState.FAILED, "NODE_FAIL"),
    (SLURM, "CANCELLED None", JobState.STOPPED, "CANCELLED"),
    (SLURM, "TIMEOUT TimeLimit", JobState.STOPPED, "TIMEOUT"),
    (SLURM, "PREEMPTED None", JobState.STOPPED, "PREEMPTED"),
    (SLURM, "", JobState.GONE, "gone"),
    (KUBERNETES, "", JobState.RUNNING, "RUNNING"),
    (KUBERNETES, "Suspended", JobState.QUEUED, "SUSPENDED"),
    (KUBERNETES, "SuccessCriteriaMet", JobState.RUNNING, "RUNNING"),
    (KUBERNETES, "Complete SuccessCriteriaMet", JobState.FINISHED, "COMPLETE"),
    (KUBERNETES, "Failed FailureTarget", JobState.FAILED, "FAILED"),
]


@pytest.mark.parametrize(("having", "told", "state", "says"), STATES, ids=[f"{one[0].name} {one[1]}" for one in STATES])
def test_words_of_ours(
    place: Path, monkeypatch: pytest.MonkeyPatch, having: Scheduler[Any], told: str, state: JobState, says: str
) -> None:
    conditions = [{"type": one, "status": "True"} for one in told.split()]
    shown = json.dumps({"status": {"conditions": [*conditions, {"type": "Complete", "status": "False"}]}})
    for name, text in (("squeue", told), ("kubectl", shown)):
        (place / name).write_text(f"#!/bin/sh\necho '{text}'\n")
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(place))
    found = having.state("space/jobs.batch/7" if having is KUBERNETES else "7")
    assert (found.state, found.says) == (state, says)


def test_a_state_is_over_or_the_job_is_left_alone() -> None:
    assert {one for one in JobState if one.over} == {JobState.FINISHED, JobState.FAILED, JobState.STOPPED, JobState.GONE}
    assert {one for one in JobState if not one.begun} == {JobState.WAITING, JobState.QUEUED}


OWN = {
    "slurm": ["launch/slurm.py", "launch/slurm_arrays.py"],
    "kubernetes": ["launch/kubernetes.py", "launch/pod.py", "launch/part.py"],
}
OWN["kubernetes"] += ["launch/doctor/kube.py"]
WORDS = {
    "slurm": r"slurm$|s(batch|queue|cancel|control|acct|run)\b|SLURMD_|PENDING|COMPLET|CANCELLED|TIMEOUT|NODE_FAIL|Dependency",
    "kubernetes": r"kubernetes$|kubectl|trainjobs?\.|jobs\.batch|configmap|Suspended|COMPLETE$|NotFound",
}


@pytest.mark.parametrize("name", WORDS)
def test_nobody_else_speaks_the_words_of(name: str) -> None:
    """All that the package says or compares, except for text for people: docstrings and help."""
    root, found = Path(xdist.__file__).parent, []
    for path in sorted(root.rglob("*.py")):
        if str(path.relative_to(root)) in OWN[name]:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        told |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword) and "help" in str(node.arg)}
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        found += [f"{path}:{one.lineno}" for one in texts if id(one) not in told and re.match(WORDS[name], one.value)]
    assert found == []
    assert all(re.search(WORDS[name], (root / path).read_text(), re.MULTILINE) for path in OWN[name][:1])
