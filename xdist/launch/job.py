"""What is started elsewhere: a run, the part of its work, and the files that a scheduler needs, kept in the run folder.

job/run.yaml      the description as the user wrote it            job/job.*     what the scheduler was given
job/cluster.yaml  the cluster as it was understood                job/job.json  which scheduler has it, under which number
config.yaml       the run as it was understood, which is what the job reads
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from xdist.files import digest, shipped
from xdist.launch import quoting

Work = Literal["train", "evaluate"]
Module = Literal[Work, "launch.doctor.meeting"]  # of xdist, which every rank runs


@dataclass(frozen=True, slots=True)
class Job:
    """`folder` is the run folder as the ranks see it, `start` where relative paths begin; `parts` is how many jobs prepare the
    data before it, 0 where the ranks do it themselves."""

    run: str
    work: Module
    folder: Path
    start: Path
    python: str
    parts: int = 0

    @property
    def name(self) -> str:
        return self.run.replace("/", "-")

    @property
    def files(self) -> Path:
        return self.folder / "job"

    @property
    def label(self) -> str:
        """The name in lower-case letters, digits and '-', at most 45 long; two run folders never have the same."""
        words = re.sub(r"[^a-z0-9]+", "-", f"xdist-{self.run}".lower()).strip("-")
        return f"{words[:36].rstrip('-')}-{digest(self.run, str(self.folder))[:8]}"


def template(name: str, **values: object) -> str:
    """The text of the template `name` below jobs/, filled in. Filters: `sh` makes one word for a shell, `yaml` one value for
    YAML, `block` a text of many lines; `dollars` keeps Kubernetes from expanding."""
    return _environment().get_template(name).render(**values)


def filled(text: str, **values: object) -> str:
    """The same for the text of a template that is elsewhere."""
    return _environment().from_string(text).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(shipped("jobs")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # not HTML: every value goes through `sh`, `yaml`, or a type that is plain (config/plain.py)
    )
    environment.filters.update(sh=quoting.sh, yaml=quoting.yaml, block=quoting.block, dollars=quoting.dollars)
    return environment
