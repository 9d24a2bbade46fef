"""What every rank of a cluster runs for `xdist doctor`: look at its machine, meet the others, time all-reduces.

    torchrun … -m xdist.launch.doctor.meeting FOLDER/config.yaml      (deepspeed --module works as well)

Rank 0 leaves what was found in FOLDER/meeting.json and then the mark `finished`, as a run does. The argument is where a run's
description would be, so that launchers start this as they start a run.
"""

import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from xdist.files import write_json
from xdist.launch.doctor import clocks, interfaces, machine, versions
from xdist.run import distributed

RESULT = "meeting.json"
NODE = "XDIST_DOCTOR_NODE"  # names the variable that holds a node's name, where that is not the host name
SECONDS = 60.0  # for all to come, and for each exchange
BUILDING = 180.0  # besides, where nodes compile before
REPEATS = 3
ALL_PAIRS = 16  # nodes; of more only neighbours are timed


def main(folder: Path) -> None:
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local = int(os.environ["LOCAL_RANK"])
    per_node = int(os.environ.get("LOCAL_WORLD_SIZE") or os.environ["LOCAL_SIZE"])
    gpu = distributed.on_gpu()
    if gpu:
        local %= torch.cuda.device_count()
        torch.cuda.set_device(local)
    device = torch.device("cuda", local) if gpu else torch.device("cpu")
    looked = {
        "host": host(),
        "findings": [asdict(one) for one in machine.check(per_node)],
        "facts": versions.facts(),
        "interfaces": interfaces.facts(os.environ["MASTER_ADDR"]),
    }
    dist.init_process_group(
        "nccl" if gpu else "gloo", timeout=timedelta(seconds=SECONDS + (BUILDING if machine.BUILD in os.environ else 0))
    )
    nodes: list[Any] = [None] * world
    dist.all_gather_object(nodes, looked)
    nodes = nodes[::per_node]
    size = (256 if gpu else 32) << 20
    names = [node["host"] for node in nodes]
    result = {
        "backend": dist.get_backend(),
        "world": world,
        "nodes": nodes,
        "clocks": clocks.clock_offsets(device)[::per_node],
        "all": _timed(None, list(range(world)), size, device),
        "pairs": [
            {"between": between, **timed}
            for between, ranks in pairs(names, per_node)
            if (timed := _timed(dist.new_group(ranks), ranks, size, device))
        ],
    }
    if rank == 0:
        write_json(folder / RESULT, result)
        (folder / "finished").touch()
    dist.barrier()
    dist.destroy_process_group()


def host() -> str:
    return os.environ.get(os.environ.get(NODE, ""), "") or socket.gethostname()


def pairs(names: list[str], per_node: int) -> Iterator[tuple[list[str], list[int]]]:
    """(names, ranks) of each pair of nodes, one rank each; on one node of its first two ranks."""
    count = len(names)
    if count == 1:
        if per_node > 1:
            yield [f"{names[0]} rank {number}" for number in range(2)], [0, 1]
        return
    chosen = combinations(range(count), 2) if count <= ALL_PAIRS else ((i, (i + 1) % count) for i in range(count))
    for one, other in chosen:
        yield [names[one], names[other]], sorted([one * per_node, other * per_node])


def _timed(group: Any, ranks: list[int], size: int, device: torch.device) -> dict[str, Any]:
    """The best of some all-reduces of `size` bytes among `ranks`, as the rate at which each sends; the same on every rank."""
    told = torch.zeros(2, dtype=torch.float64, device=device)
    if dist.get_rank() in ranks:
        seconds, right = [], True
        for _ in range(1 + REPEATS):
            values = torch.full((size // 4,), float(ranks.index(dist.get_rank()) + 1), device=device)
            dist.barrier(group)
            begun = time.perf_counter()
            dist.all_reduce(values, group=group)
            right &= bool((values == sum(range(1, len(ranks) + 1))).all())  # also waits for the GPU
            seconds.append(time.perf_counter() - begun)
        told = torch.tensor([min(seconds[1:]), right], dtype=torch.float64, device=device)
    dist.broadcast(told, ranks[0])
    if group is not None and dist.get_rank() in ranks:
        dist.destroy_process_group(group)
    share = 2 * (len(ranks) - 1) / len(ranks)
    return {"seconds": float(told[0]), "bytes_per_second": size * share / max(float(told[0]), 1e-9), "right": bool(told[1])}


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute().parent)
