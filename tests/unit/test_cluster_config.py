"""A cluster's description: strict, and plain where a scheduler's file knows no quoting."""

import pytest

from xdist.errors import UserError
from xdist.files import shipped
from xdist.launch.clusters import load_cluster
from xdist.launch.direct import Hosts, Local
from xdist.launch.kubernetes import Kubernetes
from xdist.launch.scheduler import KINDS
from xdist.launch.slurm import Slurm

EXAMPLES = sorted((shipped("jobs") / "clusters").glob("*.yaml"))


def error(kind: str, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_cluster(shipped("jobs") / "clusters" / f"{kind}.yaml", overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_there_is_an_example_of_every_kind() -> None:
    assert {path.stem for path in EXAMPLES} == set(KINDS.ours())
    found = [load_cluster(path) for path in EXAMPLES]
    assert [type(one) for one in found] == [Hosts, Kubernetes, Local, Slurm]
    assert [(one.nodes, one.ranks) for one in found] == [(2, 8), (2, 8), (1, 2), (2, 8)]


@pytest.mark.parametrize(
    ("kind", "override", "says"),
    [
        ("slurm", "partiton=gpu", "unknown key 'partiton': did you mean 'partition'? (valid: account, binds, cache, "),
        ("slurm", "kind=slrum", "kind: unknown kind 'slrum': did you mean 'slurm'? (valid: hosts, kubernetes, local, slurm)"),
        ("slurm", "time_limit=24:00:00", "time_limit: "),  # 86400 to YAML
        ("slurm", "time_limit=24", "time_limit: "),
        ("slurm", "time_limit=1d12h", "time_limit: expected a number and a unit: 90m, 24h or 2d"),
        ("slurm", "save_time=2d", "save_time must be shorter than time_limit"),
        ("slurm", "nodes=0", "nodes: "),
        (
            "slurm",
            "prepare.cores=2",
            "prepare: unknown key 'cores': did you mean 'qos'? (valid: cpus, memory, partition, qos, sbatch, time_limit)",
        ),
        ("slurm", "exclusive=false", "memory: 0, all of a node, needs exclusive: true"),
        ("slurm", "gres=gpu:a100:4", "gres: requests 4 GPUs, gpus_per_node is 8"),
        ("slurm", "gres=gpu", "gres: requests 1 GPUs, gpus_per_node is 8"),
        ("slurm", "mail_type=[END, FAILED]", "mail_type.1: unknown value 'FAILED': did you mean 'FAIL'?"),
        ("slurm", "sbatch=[-N 2]", "sbatch.0: expected an option of sbatch in its long form"),
        ("slurm", "sbatch=[--time=3]", "sbatch.0: --time: is set by the key 'time_limit'"),
        ("slurm", "sbatch=[--mail-u=a]", "sbatch.0: --mail-u: is set by the key 'mail_user'"),
        ("slurm", "prepare.sbatch=[--array=1-9]", "prepare.sbatch.0: --array: is not to be changed, xdist writes it"),
        ("slurm", "binds=[/a]", "binds needs container"),
        ("slurm", "binds=['a:/b']", "binds.0: expected an absolute path"),
        ("slurm", "wrap=run $IMAGE", "wrap: expected words without '$' and '`'"),
        ("slurm", "wrap=run 'a", "wrap: expected words as a shell reads them: No closing quotation"),
        ("slurm", "container=$IMAGE", "container: '$IMAGE': is a path on another machine"),
        ("slurm", "launcher=mpirun", "launcher: unknown value 'mpirun'"),
        ("slurm", "environment.HF_TOKEN=abc", "'HF_TOKEN' looks like a secret"),
        ("slurm", 'environment={"A;B": x}', "'A;B' is no name of a variable"),
        ("kubernetes", "image=xdist", "image: expected an image with a fixed tag"),
        ("kubernetes", "image=xdist:latest", "image: expected an image with a fixed tag"),
        ("kubernetes", "secrets={A B: {secret: a, key: b}}", "'A B' is no name of a variable"),
        ("kubernetes", "runs.path=/runs/../etc", "runs.path: expected an absolute path"),
        ("kubernetes", "runs.clam=x", "runs: unknown key 'clam': did you mean 'claim'? (valid: claim, path)"),
        ("kubernetes", "cpu=1.5", "cpu: "),
        ("kubernetes", "priority_class=low", "priority_class: a TrainJob has no such field"),
        ("kubernetes", "labels={kueue.x-k8s.io/queue-name: a}", "labels: 'kueue.x-k8s.io/queue-name' is set by a controller"),
        ("kubernetes", "labels={group: 'a b'}", "labels.group: expected a label value"),
        ("kubernetes", "affinity={nodeAfinity: {}}", "affinity.nodeAfinity"),
        ("kubernetes", "policy=mpirun", "policy: unknown value 'mpirun'"),
        ("hosts", "hosts=[]", "hosts: "),
        ("hosts", "hosts=[a, a]", "a host appears twice"),
        ("hosts", "nodes=2", "'nodes' follows from the list of hosts"),
        ("local", "nodes=2", "nodes: "),
    ],
)
def test_what_is_wrong_is_said_in_one_line(kind: str, override: str, says: str) -> None:
    assert says in error(kind, override)


def test_mpi_is_a_policy_of_trainjobs() -> None:
    with pytest.raises(UserError, match="policy: mpi needs form: trainjob"):
        load_cluster(shipped("jobs") / "clusters" / "kubernetes.yaml", ["policy=mpi", "form=job"])


HOSTILE = [
    '"a b"',
    "a;reboot",
    "$(reboot)",
    "'`reboot`'",
    '"a\\n#SBATCH --wrap=reboot"',
    "'a\"b'",
    "../../etc",
    '"a\\0b"',
    '""',
    "'-x'",
]
PLAIN = {
    "slurm": ["partition", "account", "qos", "constraint", "reservation", "gpu_type", "memory", "time_limit", "save_time"],
    "kubernetes": [
        "namespace",
        "queue",
        "runtime",
        "runs.claim",
        "data.path",
        "cpu",
        "memory",
        "shared_memory",
        "gpu_resource",
    ],
    "hosts": ["hosts.0"],
}
PLAIN["slurm"] += ["gres", "exclude", "mail_user", "prepare.qos", "prepare.memory", "prepare.time_limit", "prepare.partition"]
PLAIN["kubernetes"] += [
    "priority_class",
    "prepare.memory",
    "rdma_resource",
    "service_account",
    "image_pull_secret",
    "image",
    "scratch",
]


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, fields in PLAIN.items() for field in fields])
def test_words_that_cannot_be_quoted_are_refused(kind: str, field: str) -> None:
    for value in HOSTILE:
        assert f"{field}: expected" in error(kind, f"{field}={value}"), value


@pytest.mark.parametrize("field", ["setup.0", "wrap", "container", "python", "environment.A"])
def test_lines_are_one_line(field: str) -> None:
    for value in ('"a\\nreboot"', '"a\\rb"', '"a\\0b"', '"a\\eb"'):
        assert f"{field}: expected one line without control characters" in error("slurm", f"{field}={value}")
        for field_of_lines in ("sbatch", "binds", "prepare.sbatch"):
            assert f"{field_of_lines}.0: expected " in error("slurm", "container=/x.sif", f"{field_of_lines}=[{value}]")
