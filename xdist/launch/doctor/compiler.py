"""What DeepSpeed compiles its ops with on first use: a C++ compiler, Python's headers, ninja, a folder to keep them in."""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

from xdist.launch.doctor.finding import Finding
from xdist.run import building

CHECK = "compiler"
BROKEN = "see the full message: python -m deepspeed.env_report"
PROGRAM = "#include <Python.h>\nint main() { return 0; }\n"


def check() -> list[Finding]:
    compiler = os.environ.get("CXX", "g++")
    ninja = shutil.which("ninja", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    return judge(compiler, _tried(compiler) if shutil.which(compiler) else None, ninja, building.folder())


def judge(compiler: str, said: str | None, ninja: str | None, folder: Path) -> list[Finding]:
    """`said`: what the compiler had to say against a program with Python's headers, None where there is none; `folder`: where
    compiled ops are kept."""
    found = []
    if said is None:
        do = f"install a C++ compiler (apt-get install g++, module load gcc), or set CXX; tried {compiler}"
        found.append(Finding(CHECK, "bad", f"no {compiler}: DeepSpeed cannot compile its ops", do))
    elif "Python.h" in said:
        do = "install them (apt-get install python3-dev), or use a Python that has them"
        found.append(Finding(CHECK, "bad", "Python's headers are missing: DeepSpeed cannot compile its ops", do))
    elif said:
        found.append(Finding(CHECK, "bad", f"{compiler} does not compile: {said.splitlines()[0]}", "repair it, or set CXX"))
    if ninja is None:
        found.append(Finding(CHECK, "bad", "no ninja: DeepSpeed cannot compile its ops", "pip install ninja"))
    if not _writable(folder):
        do = "set TORCH_EXTENSIONS_DIR to a folder on the node's own disk (`scratch` in a cluster file)"
        found.append(Finding(CHECK, "bad", f"{folder}, where compiled ops are kept, cannot be written to", do))
    return found or [Finding(CHECK, "good", f"{compiler} with Python's headers, ninja; compiled ops in {folder}")]


def build_ops() -> list[Finding]:
    """Compiles what DeepSpeed would compile on first use, where it is not yet: no start has to wait for it."""
    from xdist.run import distributed  # loads torch

    distributed.default_accelerator()
    gpu = distributed.on_gpu()
    ops = [op for op in building.BUILDERS if op != building.COLLECTIVE or not gpu]
    begun = time.monotonic()
    try:
        missing = building.build(ops)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        return [Finding(CHECK, "bad", f"DeepSpeed's ops do not compile: {(str(error).splitlines() or [''])[0]}", BROKEN)]
    return judge_built([op for op in ops if op not in missing], missing, time.monotonic() - begun)


def judge_built(there: Sequence[str], missing: Sequence[str], seconds: float) -> list[Finding]:
    found = [Finding(CHECK, "good", f"compiled in {seconds:.0f} s: {', '.join(there)}")] if there else []
    needed = {"async_io": "zero3_nvme", "cpu_adam": "zero3_offload and zero3_nvme", "deepspeed_shm_comm": "ranks on CPUs"}
    notes = [
        Finding(CHECK, "note", f"{op} cannot be compiled, and is needed by {needed[op]}", building.IMPOSSIBLE[op])
        for op in missing
    ]
    return found + notes


def _tried(compiler: str) -> str:
    include = f"-I{sysconfig.get_paths()['include']}"
    done = subprocess.run(
        [compiler, "-x", "c++", "-std=c++17", "-fsyntax-only", include, "-"],
        input=PROGRAM,
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else ""


def _writable(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
