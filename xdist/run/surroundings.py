"""What a rank finds around it: who started it, where it may compile, what it may share. What cannot be got round is one line
that names the variable to set."""

import fcntl
import os
import socket
import struct
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path

from xdist.errors import RunError, UserError
from xdist.run.starters import MPI, SLURM

SHARED_MEMORY = Path("/dev/shm")
LOOPBACK = "127.0.0.1"
ADDRESS_OF = 0x8915  # Linux: SIOCGIFADDR, the IPv4 address of an interface
INSTEAD = "start the ranks by `xdist train`, torchrun or srun"


def check_started(variables: Mapping[str, str] = os.environ) -> None:
    """Raises UserError where the environment speaks of more ranks, and this one would wait for them for ever: in a shell where
    the user has set WORLD_SIZE, or that a job of several tasks has opened."""
    meets = "MASTER_ADDR" in variables and "MASTER_PORT" in variables
    if "RANK" in variables:
        if _size(variables, "WORLD_SIZE") > 1 and not meets:
            raise UserError(f"RANK and WORLD_SIZE are set: set MASTER_ADDR and MASTER_PORT too, where ranks meet, or {INSTEAD}")
    elif MPI[0] in variables:
        _size(variables, MPI[2])
    elif _size(variables, SLURM[2]) > 1:
        if variables.get("SLURM_STEP_NUM_TASKS") != variables[SLURM[2]]:
            told = f"SLURM_NTASKS={variables[SLURM[2]]} is set, and srun has not started this process as one of them"
            raise UserError(f"{told}: unset SLURM_NTASKS, or {INSTEAD}")
    elif _size(variables, "WORLD_SIZE") > 1:
        raise UserError(f"WORLD_SIZE={variables['WORLD_SIZE']} is set, and RANK is not: unset WORLD_SIZE, or {INSTEAD}")


def _size(variables: Mapping[str, str], name: str) -> int:
    """Raises UserError for what is no number."""
    text = variables.get(name, "1")
    if not text.isascii() or not text.isdigit():
        raise UserError(f"{name}={text}: expected a number of ranks; unset it, or {INSTEAD}")
    return int(text)


def without_shared_memory(folder: Path = SHARED_MEMORY) -> None:
    """Where /dev/shm takes no files, keep DeepSpeed's CPU collective, which ends a process there, from using it."""
    if not os.access(folder, os.W_OK | os.X_OK):
        os.environ.pop("LOCAL_SIZE", None)  # it shares memory only where all ranks are known to be on one machine


def choose_interface(variables: MutableMapping[str, str] = os.environ) -> None:
    """Have gloo take the interface that leads to where the ranks meet, unless one is set: by itself it takes that of the host's
    own name, which may be the loopback. Where there is no telling, gloo is left to choose."""
    if "GLOO_SOCKET_IFNAME" in variables or "MASTER_ADDR" not in variables:
        return
    with suppress(OSError, ValueError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((variables["MASTER_ADDR"], int(variables.get("MASTER_PORT", "1"))))  # of datagrams: nothing is sent
        own = socket.inet_aton(sock.getsockname()[0])
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # of an interface without an address
                asked = struct.pack("256s", name.encode()[:15])
                if fcntl.ioctl(sock.fileno(), ADDRESS_OF, asked)[20:24] == own:
                    variables["GLOO_SOCKET_IFNAME"] = name
                    return


def free_port() -> tuple[str, int]:
    """An address of this machine and a free port there. Raises RunError where there is none."""
    wrong = ""
    for address in dict.fromkeys([LOOPBACK, os.environ.get("MASTER_ADDR", LOOPBACK)]):
        try:
            with socket.socket() as heard, socket.socket() as caller:
                heard.bind((address, 0))  # which a machine without loopback allows
                heard.listen()
                caller.connect(heard.getsockname())
            with socket.socket() as sock:
                sock.bind((address, 0))
                return address, sock.getsockname()[1]
        except OSError as error:
            wrong = wrong or str(error.strerror)
    raise RunError(f"{LOOPBACK}: cannot be reached ({wrong}): set MASTER_ADDR to an address of this machine that can")
