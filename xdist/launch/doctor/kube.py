"""What a Kubernetes cluster file names, asked from here; what pods meet with, only a pod can see: run `xdist doctor` in one."""

from xdist.errors import UserError
from xdist.launch.call import call
from xdist.launch.doctor.finding import Finding
from xdist.launch.kubernetes import Kubernetes

CHECK = "kubernetes"
RUNTIMES = "clustertrainingruntimes.trainer.kubeflow.org"


def check(cluster: Kubernetes) -> list[Finding]:
    space = cluster.namespace
    wanted: list[tuple[str, list[str], str]] = [
        ("the cluster", ["version", "--output=json"], "see `kubectl config current-context`, or install kubectl"),
        (f"namespace {space}", ["get", "namespace", space], f"kubectl create namespace {space}"),
    ]
    claims = {"runs": (cluster.runs.claim, "ReadWriteMany"), "data": (cluster.data.claim, "ReadOnlyMany or ReadWriteMany")}
    for purpose, (claim, mode) in claims.items():
        do = f"make a PersistentVolumeClaim of that name, {mode}"
        wanted.append((f"claim {claim} for {purpose}", ["get", "persistentvolumeclaim", claim, f"--namespace={space}"], do))
    if cluster.form == "trainjob":
        do = "install Kubeflow Trainer, then kubectl apply -f jobs/kubernetes/runtime.yaml (runtime-mpi.yaml); or `form: job`"
        wanted.append((f"runtime {cluster.training_runtime}", ["get", RUNTIMES, cluster.training_runtime], do))
    for secret in sorted({key.secret for key in cluster.secrets.values()} | {cluster.image_pull_secret or ""} - {""}):
        do = f"kubectl create secret … --namespace={space}"
        wanted.append((f"secret {secret}", ["get", "secret", secret, f"--namespace={space}", "--output=name"], do))
    found = []
    for what, words, do in wanted:
        try:
            call(["kubectl", *words, "--request-timeout=10s"])
        except UserError as error:
            found.append(Finding(CHECK, "bad", f"{what}: {error}", do))
            if what == "the cluster":
                return found
        else:
            found.append(Finding(CHECK, "good", what))
    do = f"kubectl run doctor -it --rm --restart=Never --image={cluster.image} --namespace={space} -- xdist doctor"
    return [*found, Finding(CHECK, "note", "what pods see of GPUs, memory and network was not checked", do)]
