"""What a batch script asks before it changes anything in a run folder.

    python -m xdist.launch.alone FOLDER

0: no start uses the run there; 2: one does; 1: the disk does not answer, which is reported in a line.
"""

import sys
from pathlib import Path

from xdist.errors import RunError, UserError
from xdist.run.lock import RunLock

BROKEN, USER_ERROR = 1, 2


def main(folder: str) -> int:
    try:
        RunLock(Path(folder)).check()
    except (UserError, RunError) as error:
        print(f"xdist: {error}", file=sys.stderr)
        return USER_ERROR if isinstance(error, UserError) else BROKEN
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
