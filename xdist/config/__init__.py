"""The typed description of a run, and what every cluster has: strict loading, overrides `a.b=c`, errors with file and line."""

from xdist.config.cluster import Cluster
from xdist.config.data import Data
from xdist.config.evaluate import Evaluate
from xdist.config.loading import Source, load
from xdist.config.model import Model
from xdist.config.run import Run, load_run, recorded_run
from xdist.config.runtime import Runtime
from xdist.config.study import Stage, Study, load_study
from xdist.config.train import Select, Train, TrainTask

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
