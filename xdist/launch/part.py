"""Process 1 of a pod that prepares a part of a run's data, the part that Kubernetes numbers it by.

    python -m xdist.launch.part CONFIG.yaml START_FOLDER PARTS WORKERS

0 done; 2 the description or a file is wrong, do not try again. The manifest of a set that several parts have made may be
left to the run, which finds all shards there.
"""

import os
import sys
from pathlib import Path

from xdist.config import load_run
from xdist.errors import UserError
from xdist.launch.prepared import prepare
from xdist.resolve.preparing import preparation_of
from xdist.resolve.resolved import resolve

USER_ERROR = 2


def main(config: str, start: str, parts: str, workers: str) -> int:
    os.chdir(start)
    number = int(os.environ["JOB_COMPLETION_INDEX"]) + 1
    try:
        resolved = resolve(load_run(Path(config)), "prepare")
        prepare(preparation_of(resolved), resolved.run.name, workers=int(workers), part=(number, int(parts)))
    except UserError as error:
        print(f"xdist: {error}", file=sys.stderr)
        return USER_ERROR
    print(f"part {number} of {parts} is done")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
