"""Which GPUs a process sees: those of the machine, or what CUDA_VISIBLE_DEVICES leaves of them; and how many ranks they hold.

What xdist knows of a machine's devices without torch is here; what torch says of them is asked in distributed.py.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from xdist.errors import OwnError, UserError

DEV, PROC = Path("/dev"), Path("/proc")
VARIABLE, ACCELERATOR = "CUDA_VISIBLE_DEVICES", "DS_ACCELERATOR"
OTHERS = {"xpu": "Intel's GPUs", "npu": "Huawei's Ascend", "hpu": "Intel's Gaudi", "mps": "Apple's GPUs"}
NUMBER, NAME = re.compile(r"\d+"), re.compile(r"(GPU|MIG)-")


def kind(
    cuda: bool, other_kinds: Callable[[], Sequence[str]], variables: Mapping[str, str] = os.environ
) -> Literal["cuda", "cpu"]:
    """What ranks compute on. `cuda`: whether torch finds GPUs of NVIDIA's or AMD's; `other_kinds`: the kinds of device it finds
    besides. Raises UserError where neither those nor the CPU are meant."""
    forced = _forced_kind(variables)
    if forced == "cuda" and not cuda:
        raise UserError(f"{ACCELERATOR}=cuda: torch finds no GPU here; leave {ACCELERATOR} out, or set it to cpu")
    if forced:
        return forced
    if not cuda and (others_here := other_kinds()):
        raise UserError(
            f"this machine has {_kind_name(others_here[0])}, which xdist does not run on; to train on the CPU, put "
            f"{ACCELERATOR}=cpu before the command"
        )
    return "cuda" if cuda else "cpu"


def _forced_kind(variables: Mapping[str, str]) -> Literal["cuda", "cpu", ""]:
    """What is to be computed on, in DeepSpeed's words; "" where that is left open. Raises UserError for what xdist has not."""
    value = variables.get(ACCELERATOR, "").strip()
    if value not in ("cuda", "cpu", ""):
        raise UserError(f"{ACCELERATOR}={value}: xdist does not run on {_kind_name(value)} (valid: cuda, of AMD's too; cpu)")
    return value  # type: ignore[return-value]


def _kind_name(kind: str) -> str:
    return f"{OTHERS[kind]} ({kind.upper()})" if kind in OTHERS else f"'{kind}'"


def present_gpus() -> int:
    """GPUs of this machine by the files that their driver makes; 0 too where it makes others, as AMD's does."""
    return len(list(DEV.glob("nvidia[0-9]*")))


def visible_gpus(variables: Mapping[str, str] = os.environ) -> list[str]:
    """The GPUs that a process with these variables sees, named as CUDA_VISIBLE_DEVICES names them, by CUDA's rules: the first
    word that is no device ends the list, a device named twice empties it, and of MIG devices there is only ever one. Whether a
    UUID or MIG name is right is not known without the driver. Empty where `present_gpus()` is 0, and where the CPU is
    chosen."""
    present = present_gpus() if variables.get(ACCELERATOR) != "cpu" else 0
    if VARIABLE not in variables:
        return [str(number) for number in range(present)]
    visible: list[str] = []
    for word in map(str.strip, variables[VARIABLE].split(",") if present else ()):
        number = NUMBER.match(word)
        if not NAME.match(word) and not (number and int(number[0]) < present):
            break
        name = str(int(number[0])) if number else word
        if name in visible:
            return []
        visible.append(name)
    return visible[:1] if visible and visible[0].startswith("MIG-") else visible


def check(ranks: int, variables: Mapping[str, str] = os.environ) -> None:
    """Raises UserError where this many ranks cannot be started with these variables: a GPU holds one, the CPU any number."""
    if _forced_kind(variables) == "cpu":
        return
    devices = len(visible_gpus(variables))
    if not devices and present_gpus() and _asks(variables):
        raise UserError(_nothing_left(variables))
    if devices and ranks > devices:
        raise UserError(f"runtime.ranks: {_too_many(str(ranks), devices, variables)}")


def check_rank(seen: int | None, local: int, on_machine: int | None, variables: Mapping[str, str] = os.environ) -> None:
    """The same for a rank, which others may have started, before it waits for others. `seen`: GPUs by torch, None where
    it was built for none; `local`: the rank's number on its machine; `on_machine`: how many ranks that has which see the same
    GPUs, None where each may see its own, as srun's tasks do. Raises OwnError in the one rank of each machine that is to say
    it, UserError in the others."""
    asked = _asked_of_deepspeed()
    if asked is not None and not _keeps_request(asked, bool(seen), variables):
        message = (
            f"{VARIABLE}={asked}: DeepSpeed's launcher put {variables.get(VARIABLE, '')} instead; "
            "`xdist train`, `xdist evaluate` and torchrun hand it on as it is"
        )
    elif seen == 0 and present_gpus() and _asks(variables):
        message = _nothing_left(variables)
    elif seen and on_machine and on_machine > seen:
        message = _too_many(str(on_machine), seen, variables)
    else:
        return
    raise (OwnError if local == 0 else UserError)(message)


def named_by_id(variables: Mapping[str, str] = os.environ) -> bool:
    """Whether devices are given by UUID or MIG name, which not every library can read."""
    return any(NAME.match(word.strip()) for word in variables.get(VARIABLE, "").split(","))


def _asks(variables: Mapping[str, str]) -> bool:
    """Whether the variable requests a GPU; an empty value, -1 and words such as NoDevFiles hide all of them."""
    first = variables.get(VARIABLE, "").split(",")[0].strip()
    return bool(NUMBER.match(first) or NAME.match(first))


def _nothing_left(variables: Mapping[str, str]) -> str:
    numbers = f"0 to {present_gpus() - 1}" if present_gpus() > 1 else "0"
    return (
        f"{VARIABLE}={variables[VARIABLE]}: makes none of this machine's GPUs visible "
        f"(valid: {numbers}, or names that `nvidia-smi -L` shows; empty uses the CPU)"
    )


def _too_many(ranks: str, devices: int, variables: Mapping[str, str]) -> str:
    setting = f" ({VARIABLE}={variables[VARIABLE]})" if VARIABLE in variables else ""
    are, valid = ("1 GPU is", "1") if devices == 1 else (f"{devices} GPUs are", f"1 to {devices}")
    return (
        f"{ranks} ranks on this machine, but {are} visible{setting}, and each can have one rank "
        f"(valid: {valid}; on the CPU, with {VARIABLE}= before the command, as many as you like)"
    )


def _keeps_request(asked: str, gpus: bool, variables: Mapping[str, str]) -> bool:
    """Whether a rank is given nothing but what was `asked` for. Where it sees no `gpus`, a number may be left over from
    anywhere; a UUID or MIG name is meant for one that should be there."""
    if not gpus and not NAME.match(asked.strip()):
        return True
    wanted = [word.strip() for word in asked.split(",")]
    return all(word.strip() in wanted for word in variables.get(VARIABLE, "").split(","))


def _asked_of_deepspeed() -> str | None:
    """The variable as it was when DeepSpeed's launcher above this process was started, where there is one. It reads numbers
    only, drops the variable where it gets the number of ranks, and gives ranks its own list; but the system still
    knows with which variables a process began."""
    requested, process = None, os.getppid()
    for launchers in (("deepspeed.launcher.launch",), ("deepspeed.launcher.runner", "deepspeed")):
        place = PROC / str(process)
        try:
            words, began = ((place / file).read_bytes().decode(errors="replace").split("\0") for file in ("cmdline", "environ"))
            process = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:  # another user's, or a system without these files
            break
        if not any(Path(word).name in launchers for word in words):
            break
        requested = dict(pair.split("=", 1) for pair in began if "=" in pair).get(VARIABLE)
    return requested
