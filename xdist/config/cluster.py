"""Where a run is executed: what the YAML of every kind of cluster has. Each kind declares its own keys (xdist.launch).

What ends up in a line of a scheduler's file that knows no quoting is refused here unless it is plain; what ends up in a shell
or in YAML is quoted by the templates.
"""

import re
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from xdist.config.plain import OneLine
from xdist.config.plugin import Plugin
from xdist.config.section import Section

SECRET = re.compile(r"TOKEN(?!I[SZ])|SECRET|PASSW|CREDENTIAL|API_?KEY", re.IGNORECASE)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> int:
    return int(duration[:-1]) * UNITS[duration[-1]]


class Cluster(Section):
    """What every kind has."""

    kind: str = Field(description="which kind of cluster")
    plugins: tuple[Plugin, ...] = Field(
        (), description="plugins with your own kind: files (*.py), installed distributions or modules, as of a run"
    )
    nodes: int = Field(1, ge=1, le=100_000, description="machines of a run")
    gpus_per_node: int = Field(0, ge=0, le=1024, description="GPUs of each; 0: ranks compute on CPUs")
    ranks_per_node: int | None = Field(None, ge=1, le=1024, description="processes on a node; null: one per GPU, or one")
    environment: dict[str, OneLine] = Field({}, description="variables of every rank")
    data: Path | Literal["remote"] | None = Field(
        None,
        description="where the official files are; null: data.root of the run; remote: there as well, but not on the "
        "machine that submits, which then looks at no file",
    )
    cache: Path | None = Field(None, description="where prepared rows are kept there; null: data.cache of the run")

    @field_validator("environment")
    @classmethod
    def _names(cls, values: dict[str, str]) -> dict[str, str]:
        for name in values:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"'{name}' is no name of a variable")
            if SECRET.search(name):
                raise ValueError(f"'{name}' looks like a secret, which does not belong in a file; see docs/clusters.md")
        return values

    @property
    def ranks(self) -> int:
        """Processes on each node."""
        return self.ranks_per_node or max(1, self.gpus_per_node)

    @property
    def interpreter(self) -> str:
        """The Python of the ranks: the key `python`, where the kind has it; else the one that submits."""
        return getattr(self, "python", None) or sys.executable

    @property
    def data_root(self) -> Path | None:
        """Where ranks find the official files; None: where the run says."""
        return None if self.remote else Path(self.data) if self.data else None

    @property
    def remote(self) -> bool:
        """Whether the official files are not checked where this is read."""
        return self.data == "remote"

    @property
    def prepared_rows(self) -> Path | None:
        """Where ranks keep prepared rows; None: where the run says."""
        return self.cache
