"""States of a rank in the main memory of its host, from where they are written while training changes the states themselves.

A copy is taken as `torch.save` would write it: the same pickle, in which tensors are numbers, and every storage once, however
many tensors look into it. What is no tensor (counters, rates, shapes) is in the pickle, so nothing of the copy changes
afterwards.
"""

import io
import logging
import pickle
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xdist.engine.engine import Engine
from xdist.run import distributed

log = logging.getLogger(__name__)
ROOM = 1.3  # free memory of a host, in states of its ranks, from which copies are kept there
GB = 1e9


class _Skeleton(pickle.Pickler):
    """Pickles all but tensors, for which it writes what `take` says of each."""

    def __init__(self, file: io.BytesIO, take: Callable[[Tensor], int]) -> None:
        super().__init__(file, protocol=5)
        self._take = take

    def persistent_id(self, value: Any) -> int | None:
        return self._take(value) if isinstance(value, Tensor) else None


class _Filled(pickle.Unpickler):
    def __init__(self, skeleton: bytes, tensors: list[Tensor]) -> None:
        super().__init__(io.BytesIO(skeleton))
        self._tensors = tensors

    def persistent_load(self, number: Any) -> Tensor:
        tensor: Tensor = self._tensors[number]
        return tensor


@dataclass(frozen=True, slots=True)
class Copy:
    """A state as it was when it was copied."""

    skeleton: bytes
    tensors: list[Tensor]

    def state(self) -> Any:
        return _Filled(self.skeleton, self.tensors).load()


class HostMemory:
    """Room for one save's copies on this rank, used again by the next, so that memory is allocated, and pinned for a GPU,
    once."""

    def __init__(self, pinned: bool) -> None:
        self._pinned = pinned
        self._free: dict[int, list[Tensor]] = defaultdict(list)
        self._taken: list[Tensor] = []
        self.bytes = 0

    def copy(self, state: Any) -> Copy:
        """A copy of `state`, complete when this returns. Raises RuntimeError or MemoryError where there is no memory."""
        storages: dict[tuple[Any, ...], Tensor] = {}
        tensors: list[Tensor] = []
        seen: dict[int, tuple[int, Tensor]] = {}

        def take(tensor: Tensor) -> int:
            if id(tensor) not in seen:
                source = _bytes_of(tensor)
                key = (source.device, source.data_ptr(), len(source))
                if key not in storages:
                    storages[key] = self._room(len(source))
                    storages[key].copy_(source, non_blocking=True)
                look = torch.empty(0, dtype=tensor.dtype).set_(
                    storages[key].untyped_storage(), tensor.storage_offset(), tensor.size(), tensor.stride()
                )
                # The tensor stays with its number: another one could get the id of one that is gone.
                seen[id(tensor)] = len(tensors), tensor
                tensors.append(look)
            return seen[id(tensor)][0]

        skeleton = io.BytesIO()
        _Skeleton(skeleton, take).dump(state)
        if self._pinned:
            torch.cuda.synchronize()
        return Copy(skeleton.getvalue(), tensors)

    def reuse(self) -> None:
        """All copies that were taken are written, or given up."""
        for room in self._taken:
            self._free[len(room)].append(room)
        self._taken = []

    def _room(self, size: int) -> Tensor:
        """(size,) bytes."""
        if self._free[size]:
            room = self._free[size].pop()
        else:
            room = torch.empty(size, dtype=torch.uint8, pin_memory=self._pinned and size > 0)
            self.bytes += size
        self._taken.append(room)
        return room


def _bytes_of(tensor: Tensor) -> Tensor:
    """The complete storage of `tensor`, as bytes."""
    return torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.detach().untyped_storage())


def size_of(state: Any) -> int:
    """Bytes of the storages of `state`, each once."""
    sizes: dict[tuple[Any, ...], int] = {}

    def take(tensor: Tensor) -> int:
        storage = tensor.detach().untyped_storage()
        sizes[(storage.device, storage.data_ptr(), storage.nbytes())] = storage.nbytes()
        return 0

    _Skeleton(io.BytesIO(), take).dump(state)
    return sum(sizes.values())


def states_of(engine: Engine) -> int:
    """Bytes that this rank writes of `engine` in one save."""
    deepspeed, first = engine.deepspeed, distributed.rank() == 0
    model = deepspeed.module_state_dict(exclude_frozen_parameters=True) if first or engine.stage == 3 else {}
    return size_of((model, deepspeed.optimizer.state_dict() if first or engine.stage else {}))


def has_room(states: int, free: int) -> bool:
    """Whether each host has 1.3 times the `states` of its ranks `free`, in bytes; the choice that follows is logged.
    Collective."""
    by_rank = distributed.gather_on_first((socket.gethostname(), states, free))
    if by_rank is None:
        return bool(distributed.agree(None))
    hosts: dict[str, tuple[int, int]] = {}
    for host, size, room in by_rank:
        before, least = hosts.get(host, (0, room))
        hosts[host] = before + size, min(least, room)
    scarce = min(hosts, key=lambda host: hosts[host][1] - ROOM * hosts[host][0])
    size, room = hosts[scarce]
    behind = room > ROOM * size
    log.info(
        "checkpoints are written %s: %s has %.1f GB of memory free, the states of its ranks take %.1f GB (runtime.save)",
        "while training continues" if behind else "at once, and training waits",
        scarce,
        room / GB,
        size / GB,
    )
    return bool(distributed.agree(behind))


def free_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process can still take of the host's memory: of the machine's, or of what a scheduler or container gave
    it (control groups of either version)."""
    lines = (proc / "meminfo").read_text().splitlines()
    free = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    free += _left_in_groups(proc / "self" / "cgroup", groups)
    return min(free, default=0)


def _left_in_groups(membership: Path, root: Path) -> Iterator[int]:
    """What each group that this process is in, from its own up, leaves of its limit; files that it can read again count as
    free."""
    for line in membership.read_text().splitlines() if membership.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "memory" if controllers else root
        limit, usage, cache = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if controllers
            else ("memory.max", "memory.current", "inactive_file")
        )
        place = top / path.strip("/")
        # Within a container the path may be that of its host, of which only the top is to be seen.
        for group in dict.fromkeys((place, *place.parents, top)):
            if not group.is_relative_to(top) or not (group / limit).is_file():
                continue
            most = (group / limit).read_text().strip()
            if most.isdecimal():
                stat = dict(entry.split() for entry in (group / "memory.stat").read_text().splitlines())
                yield max(0, int(most) - int((group / usage).read_text()) + int(stat.get(cache, 0)))
