"""Numbers on their way from a device to the program, which continues meanwhile."""

import torch
from torch import Tensor


class Arriving:
    """The numbers of a tensor, copied from a GPU behind all that it has been given to do so far, and ahead of what follows: who
    requests them once it is at other things waits for nothing."""

    def __init__(self, values: Tensor) -> None:
        self._here, self._event = values, None
        if values.device.type == "cuda":
            self._here = torch.empty(values.shape, dtype=values.dtype, pin_memory=True).copy_(values, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    def values(self) -> Tensor:
        """On the CPU; waits until the device has made them."""
        if self._event is not None:
            self._event.synchronize()
        return self._here
