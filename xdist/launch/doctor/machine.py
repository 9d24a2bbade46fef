"""The checks that look at one machine."""

import os

from xdist.launch.doctor import accelerator, attention, compiler, shared_memory, versions
from xdist.launch.doctor.finding import Finding

GPUS = "XDIST_DOCTOR_GPUS"  # on the nodes: how many the cluster file says
BUILD = "XDIST_DOCTOR_BUILD"


def check(ranks: int) -> list[Finding]:
    """`ranks`: how many will run here. With the variable `BUILD` DeepSpeed's ops are compiled."""
    wanted = int(os.environ.get(GPUS, "0"))
    found = [*versions.check(), *accelerator.check(wanted), *attention.check(), *compiler.check(), *shared_memory.check(ranks)]
    if os.environ.get(BUILD) and not any(one.check == compiler.CHECK and one.level == "bad" for one in found):
        found += compiler.build_ops()
    return found
