"""The typed description of a run and of a cluster: strict loading, overrides `a.b=c`, errors that name file and line."""

from xdist.config.cluster import Cluster, Hosts, Kubernetes, Local, Slurm, load_cluster
from xdist.config.loading import Source, load
from xdist.config.run import Data, Evaluate, Model, Run, Runtime, Select, Train, TrainTask, load_run
from xdist.config.study import Stage, Study, load_study

__all__ = [
    "Cluster",
    "Data",
    "Evaluate",
    "Hosts",
    "Kubernetes",
    "Local",
    "Model",
    "Run",
    "Runtime",
    "Select",
    "Slurm",
    "Source",
    "Stage",
    "Study",
    "Train",
    "TrainTask",
    "load",
    "load_cluster",
    "load_run",
    "load_study",
]
