"""The checks that look at one machine."""

import os

from xdist.launch.doctor import accelerator, compiler, shared_memory, versions
from xdist.launch.doctor.finding import Finding

GPUS = "XDIST_DOCTOR_GPUS"  # on the nodes: how many the cluster file says


def check(ranks: int) -> list[Finding]:
    """`ranks`: how many will run here."""
    wanted = int(os.environ.get(GPUS, "0"))
    return [*versions.check(), *accelerator.check(wanted), *compiler.check(), *shared_memory.check(ranks)]
