"""/dev/shm, through which the ranks and loader workers of a node hand over tensors."""

import shutil
from pathlib import Path

from xdist.launch.doctor.finding import Finding, size

CHECK = "shared memory"
FOLDER = Path("/dev/shm")
LEAST, PLENTY = 128e6, 1e9  # bytes per rank; a container has 64 MiB by default
DO = "docker run --shm-size=16g; `shared_memory` in a Kubernetes cluster file; mount -o remount,size=16g /dev/shm"


def check(ranks: int = 1) -> list[Finding]:
    if not FOLDER.is_dir():
        return [Finding(CHECK, "bad", f"no {FOLDER}", "mount a tmpfs there")]
    usage = shutil.disk_usage(FOLDER)
    return judge(usage.total, usage.free, ranks)


def judge(total: int, free: int, ranks: int) -> list[Finding]:
    """Bytes, and how many ranks share them."""
    says = f"{size(free)} free of {size(total)} in {FOLDER}"
    if total < LEAST * ranks:
        return [Finding(CHECK, "bad", f"{says}, too little for {ranks} ranks", DO)]
    if free < LEAST * ranks:
        do = "remove what runs that were killed have left there (nccl-*, torch_*, sem.*)"
        return [Finding(CHECK, "bad", f"{says}: it is full", do)]
    if free < PLENTY * ranks:
        return [Finding(CHECK, "note", f"{says}, little for {ranks} ranks", DO)]
    return [Finding(CHECK, "good", says)]
