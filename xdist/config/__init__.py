"""The typed description of a run: strict loading, overrides `a.b=c`, errors that name file and line."""

from xdist.config.loading import Source, load
from xdist.config.run import Data, Evaluate, Model, Run, Runtime, Select, Train, TrainTask, load_run

__all__ = [
    "Data",
    "Evaluate",
    "Model",
    "Run",
    "Runtime",
    "Select",
    "Source",
    "Train",
    "TrainTask",
    "load",
    "load_run",
]
