"""Arrays of SLURM jobs, held until each element knows what it waits for."""

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from xdist.errors import UserError
from xdist.launch.arrays import JobArrays
from xdist.launch.call import call

LARGEST = 1000  # elements, by SLURM's own default


class SlurmArrays(JobArrays):
    def largest_array(self) -> int:
        with suppress(UserError):  # where there is no SLURM only texts are made
            said = re.search(r"^MaxArraySize\s*=\s*([0-9]+)", call(["scontrol", "show", "config"]), re.MULTILINE)
            if said:
                return max(1, int(said[1]) - 1)  # the largest number is one less
        return LARGEST

    def submit_held(self, file: Path) -> str:
        return call(["sbatch", "--parsable", "--hold", "--kill-on-invalid-dep=yes", str(file)]).split(";")[0].strip()

    def element(self, array: str, number: int) -> str:
        return f"{array}_{number}"

    def begin_after(self, array: str, numbers: Sequence[int], after: Sequence[str]) -> None:
        elements = f"{array}_[{','.join(map(str, numbers))}]"
        call(["scontrol", "update", f"JobId={elements}", f"Dependency=afterok:{':'.join(after)}"])

    def release(self, array: str) -> None:
        call(["scontrol", "release", array])
