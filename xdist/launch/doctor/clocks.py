"""The clocks of the nodes: how far each is from the first one's."""

import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
import torch.distributed as dist

from xdist.launch.doctor.finding import Finding

CHECK = "clocks"
ROUNDS = 9
APART = 1.0  # seconds; the nodes look at their clocks within far less


def clock_offsets(device: torch.device, now: Callable[[], float] = time.time) -> list[float]:
    """Seconds by which the clock of each rank is ahead of rank 0's, the same on every rank: the median of some rounds, since a
    rank may leave a barrier late."""
    rounds = []
    for _ in range(ROUNDS):
        dist.barrier()
        mine = torch.tensor([now()], dtype=torch.float64, device=device)
        all_of_them = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
        dist.all_gather(all_of_them, mine)
        rounds.append([float(one) - float(all_of_them[0]) for one in all_of_them])
    return [median(of_rank) for of_rank in zip(*rounds, strict=True)]


def judge(hosts: Sequence[str], seconds: Sequence[float]) -> list[Finding]:
    """`seconds`: by how much each host is ahead of the first."""
    if len(hosts) < 2:
        return []
    middle = median(seconds)
    do = "let a time server set it (chrony, ntpd): dates of files and lines of logs cannot be compared otherwise"
    found = [
        Finding(CHECK, "note", f"{abs(by - middle):.1f} s {'ahead of' if by > middle else 'behind'} most nodes", do, host)
        for host, by in zip(hosts, seconds, strict=True)
        if abs(by - middle) > APART
    ]
    if len(hosts) == 2 and found:  # neither is the one that is right
        found = [Finding(CHECK, "note", f"{hosts[1]} and {hosts[0]} are {abs(seconds[1] - seconds[0]):.1f} s apart", do)]
    return found or [Finding(CHECK, "good", f"those of {len(hosts)} nodes are within {APART:.0f} s")]
