"""A scheduler that xdist does not ship, complete in one file: LSF, as far as its commands are needed. A cluster's YAML names
it:

plugins: [lsf.py]
kind: lsf
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from xdist.config import Cluster
from xdist.config.cluster import seconds
from xdist.config.plain import Duration, OneWord
from xdist.launch import quoting
from xdist.launch.call import call, query_job
from xdist.launch.job import Job, filled
from xdist.launch.scheduler import GONE, Capabilities, JobState, JobStatus, Scheduler, register

SCRIPT = """#!/bin/bash
#BSUB -J "{{ job.name }}{{ "-prepare[1-" ~ job.parts ~ "]" if preparing }}"
#BSUB -q {{ cluster.queue }}
#BSUB -W {{ minutes }}
#BSUB -o "{{ job.files }}/{{ "prepare-%J_%I" if preparing else "%J" }}.log"
cd -- {{ job.start | sh }} || exit 1
RUN={{ job.folder | sh }} PYTHON={{ job.python | sh }}
export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1
{% for name, value in cluster.environment.items() %}
export {{ name }}={{ value | sh }}
{% endfor %}
{% if preparing %}
exec "$PYTHON" -m xdist.cli prepare "$RUN/config.yaml" --part "$LSB_JOBINDEX/{{ job.parts }}"
{% else %}
rm -f "$RUN/stop"
"$PYTHON" -m torch.distributed.run --standalone --nproc-per-node {{ cluster.ranks }} -m xdist.{{ job.work }} "$RUN/config.yaml"
[ -e "$RUN/finished" ] || exit 75
{% endif %}
"""
STATES = {"PEND": JobState.QUEUED, "PSUSP": JobState.QUEUED, "DONE": JobState.FINISHED, "EXIT": JobState.FAILED}
REASONS = {
    "Job dependency condition not satisfied": JobState.WAITING,
    "Dependency condition invalid or never satisfied": JobState.STOPPED,
    "TERM_": JobState.STOPPED,
}


class Lsf(Cluster):
    kind: Literal["lsf"]
    nodes: Literal[1] = 1
    queue: OneWord = "normal"
    time_limit: Duration
    python: str | None = None


class LsfScheduler(Scheduler[Lsf]):
    name = "lsf"
    options = Lsf
    can = Capabilities(waits=True, prepares=True)

    def render(self, job: Job, options: Lsf, config: str) -> dict[str, str]:
        quoting.directive(job.folder)
        values = {"job": job, "cluster": options, "minutes": seconds(options.time_limit) // 60}
        before = {"prepare.lsf": filled(SCRIPT, preparing=True, **values)} if job.parts else {}
        return {**before, "job.lsf": filled(SCRIPT, preparing=False, **values)}

    def submit(self, file: Path, after: Sequence[str] = ()) -> str:
        waits = ["-w", " && ".join(f"done({job})" for job in after)] if after else []
        return re.findall(r"Job <(\d+)>", call(["bsub", *waits], reads=file))[0]

    def ask(self, job: str) -> JobStatus:
        words = ["bjobs", "-a", "-noheader", "-o", "stat exit_reason pend_reason delimiter='|'", job]
        if (shown := query_job(words, gone="is not found")) is None:
            return GONE
        name, *reasons = shown.strip().split("|")
        reason = next((one for one in reasons if one not in ("", "-")), "")
        because = (state for start, state in REASONS.items() if reason.startswith(start))
        return JobStatus(next(because, STATES.get(name, JobState.RUNNING)), f"{name} ({reason})" if reason else name)

    def cancel(self, job: str) -> None:
        call(["bkill", job])

    def watch(self, job: str) -> list[str]:
        return [f"bjobs {job}", f"bkill {job}"]

    def log(self, job: str, files: Path, lines: int, follow: bool) -> Path:
        return files / f"{job}.log"


register(LsfScheduler())
