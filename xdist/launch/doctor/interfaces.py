"""Which network interface of a node leads to the others, and the variables that name another to NCCL and gloo."""

import fcntl
import os
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xdist.launch.doctor.finding import Finding

CHECK = "interfaces"
NCCL, GLOO = "NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"
SIOCGIFFLAGS, SIOCGIFADDR = 0x8913, 0x8915  # of Linux
UP = 0x1 | 0x40  # and running


def facts(master: str) -> dict[str, Any]:
    """Of this node: `there`, its interfaces that are up with their IPv4 addresses and Mbit/s (0: not known), without loopback;
    `used`, the one from which `master` is reached; `named`, what the variables say."""
    there = {name: {"address": address, "speed": _speed(name)} for name, address in _up()}
    address = _towards(master)
    used = next((name for name, one in there.items() if one["address"] == address), "lo")
    return {"there": there, "used": used, "named": {name: os.environ[name] for name in (NCCL, GLOO) if name in os.environ}}


def judge(nodes: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Finding]:
    """`nodes`: host and its facts. Nothing is said of one node alone."""
    if len(nodes) < 2:
        return []
    used = Counter(str(of["used"]) for _, of in nodes)
    name, count = used.most_common(1)[0]
    each = f"{name} on all nodes" if count == len(nodes) else ", ".join(f"{of['used']} on {host}" for host, of in nodes)
    speed = max((int(of["there"].get(of["used"], {}).get("speed", 0)) for _, of in nodes), default=0)
    lines = [f"{key}={value} on {host}" for host, of in nodes for key, value in of["named"].items()]
    says = f"the nodes reach each other by {each}{f' ({_speed_text(speed)})' if speed else ''}"
    says += f"; {', '.join(lines)}" if lines else f"; {NCCL} and {GLOO}, in `environment`, name others"
    faster = _faster([of for _, of in nodes], speed)
    if faster and not lines:
        do = f"environment: {{{NCCL}: {faster}, {GLOO}: {faster}}}, and compare what xdist doctor measures then"
        return [Finding(CHECK, "note", f"{says}; {faster} is faster", do)]
    return [Finding(CHECK, "good", says)]


def _faster(nodes: Iterable[Mapping[str, Any]], speed: int) -> str:
    """The fastest interface that every node has and that is faster than `speed`; '' where none is known to be."""
    slowest = Counter[str]()
    for name in set.intersection(*({*of["there"]} for of in nodes)):
        slowest[name] = min(int(of["there"][name]["speed"]) for of in nodes)
    name, best = slowest.most_common(1)[0] if slowest else ("", 0)
    return name if 0 < speed < best else ""


def _speed_text(speed: int) -> str:
    return f"{speed / 1000:g} Gbit/s"


def _up() -> Iterable[tuple[str, str]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            asks = struct.pack("256s", name.encode()[:15])
            try:
                flags = struct.unpack("16xh", fcntl.ioctl(sock, SIOCGIFFLAGS, asks)[:18])[0]
                address = socket.inet_ntoa(fcntl.ioctl(sock, SIOCGIFADDR, asks)[20:24])
            except OSError:  # it has no address
                continue
            if flags & UP == UP and not address.startswith("127."):
                yield name, address


def _speed(name: str) -> int:
    try:
        return max(0, int(Path("/sys/class/net", name, "speed").read_text()))
    except (OSError, ValueError):  # virtual ones do not say
        return 0


def _towards(host: str) -> str:
    """The address of this node that `host` would see; nothing is sent."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((host, 9))
            return str(sock.getsockname()[0])
    except OSError:
        return ""
