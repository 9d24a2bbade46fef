"""The typed description of a run, and what every cluster has: strict loading, overrides `a.b=c`, errors with file and line."""

from xdist.config.cluster import Cluster
from xdist.config.loading import Source, load
from xdist.config.run import Data, Evaluate, Model, Run, Runtime, Select, Train, TrainTask, load_run, recorded_run
from xdist.config.study import Stage, Study, load_study

__all__ = [
    "Cluster",
    "Data",
    "Evaluate",
    "Model",
    "Run",
    "Runtime",
    "Select",
    "Source",
    "Stage",
    "Study",
    "Train",
    "TrainTask",
    "load",
    "load_run",
    "load_study",
    "recorded_run",
]
