"""What stands for an LSF in tests: its commands as shell scripts, a folder per job, and `turn`, which runs what may begin."""

import os
import subprocess
from pathlib import Path

BSUB = """
after=; [ "$1" != -w ] || after=$(echo "$2" | tr -cd '0-9 ')
if [ -e "$D/room" ] && [ "$(ls "$D/jobs" | wc -l)" -ge "$(cat "$D/room")" ]; then
  echo "User <me>: the limit of pending jobs is reached. Job not submitted." >&2; exit 255
fi
number=$(($(cat "$D/last" 2>/dev/null || echo 100) + 1))
echo "$number" >"$D/last"
mkdir "$D/jobs/$number"
cat >"$D/jobs/$number/script"
echo "$after" >"$D/jobs/$number/after"
echo PEND >"$D/jobs/$number/stat"
echo "Job <$number> is submitted to queue <normal>."
"""
BJOBS = """
for job; do :; done
[ ! -e "$D/down" ] || { echo "LSF is down. Please wait ..." >&2; exit 255; }
[ -d "$D/jobs/$job" ] || { echo "Job <$job> is not found" >&2; exit 255; }
stat=$(cat "$D/jobs/$job/stat") waits=-
if [ "$stat" = PEND ]; then
  for other in $(cat "$D/jobs/$job/after"); do
    case $(cat "$D/jobs/$other/stat" 2>/dev/null) in
      DONE) ;;
      EXIT) waits="Dependency condition invalid or never satisfied"; break ;;
      *) waits="Job dependency condition not satisfied" ;;
    esac
  done
fi
echo "$stat|$(cat "$D/jobs/$job/exit_reason" 2>/dev/null || echo -)|$waits"
"""
BKILL = """
echo EXIT >"$D/jobs/$1/stat"
echo "TERM_OWNER: job killed by owner" >"$D/jobs/$1/exit_reason"
"""
TURN = """
for job in "$D"/jobs/*; do
  [ "$(cat "$job/stat")" = PEND ] || continue
  for other in $(cat "$job/after"); do [ "$(cat "$D/jobs/$other/stat")" = DONE ] || continue 2; done
  echo RUN >"$job/stat"
  export LSB_JOBID="${job##*/}" LSB_JOBINDEX
  elements=$(sed -n 's/^#BSUB -J .*\\[1-\\([0-9]*\\)\\].*/\\1/p' "$job/script")
  log=$(sed -n 's/^#BSUB -o "\\(.*\\)"$/\\1/p' "$job/script" | sed "s/%J/$LSB_JOBID/")
  end=DONE
  for LSB_JOBINDEX in $(seq "${elements:-1}"); do
    bash "$job/script" >>"$(echo "$log" | sed "s/%I/$LSB_JOBINDEX/")" 2>&1 || end=EXIT
  done
  echo "$end" >"$job/stat"
done
"""


class LsfCluster:
    """`path` is what PATH has to begin with for commands to talk to this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = f"{folder}:{os.environ['PATH']}"
        (folder / "jobs").mkdir(parents=True)
        for name, text in (("bsub", BSUB), ("bjobs", BJOBS), ("bkill", BKILL), ("turn", TURN)):
            (folder / name).write_text(f'#!/bin/bash\nD=$(dirname "$0")\n{text.lstrip()}')
            (folder / name).chmod(0o755)

    def turn(self) -> None:
        """Run every job that may begin, to its end."""
        subprocess.run([self.folder / "turn"], check=True)

    def waits(self) -> dict[str, str]:
        """By job, what it waits for."""
        return {path.name: (path / "after").read_text().strip() for path in sorted((self.folder / "jobs").iterdir())}
