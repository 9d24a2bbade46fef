"""What a batch script asks before it changes anything in a run folder.

    python -m xdist.launch.alone FOLDER

0 nobody works on the run there; 2 somebody does, which is said in a line.
"""

import sys
from pathlib import Path

from xdist.errors import UserError
from xdist.run.lock import RunLock

USER_ERROR = 2


def main(folder: str) -> int:
    try:
        RunLock(Path(folder)).check()
    except UserError as error:
        print(f"xdist: {error}", file=sys.stderr)
        return USER_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
