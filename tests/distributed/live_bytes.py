"""How many bytes of tensors are alive: exact, by watching every operation, independent of the allocator."""

import gc
import time
import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """While it is entered: `now` and `peak` count the storages of all tensors that came since it was made."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, weakref.ref] = {}
        self._counted: set[int] = set()
        self.look()
        self._counted.clear()  # existing tensors are not counted
        self.now = self.peak = 0

    def look(self) -> None:
        """Count tensors that came into being outside of it."""
        gc.collect()
        for found in gc.get_objects():
            if type(found) in (torch.Tensor, torch.nn.Parameter) and found.layout == torch.strided:
                self._count(found)

    def settled(self, quiet: float = 0.1) -> int:
        """`now`, once it is stable: gloo's threads let go of a reduced bucket some time after one waited for it."""
        gc.collect()
        last, since = self.now, time.monotonic()
        while time.monotonic() - since < quiet:
            time.sleep(quiet / 10)
            if self.now != last:
                last, since = self.now, time.monotonic()
        return last

    def _count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        if key in self._known or tensor.is_meta or not size:
            return

        def gone(_: object) -> None:
            self.now -= size if key in self._counted else 0
            self._counted.discard(key)
            self._known.pop(key, None)

        self._known[key] = weakref.ref(storage, gone)
        self._counted.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor):
                self._count(value)
        return result
