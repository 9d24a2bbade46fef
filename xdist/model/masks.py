"""The same dropout masks in several forwards."""

import torch


class Masks:
    """The states of torch's generators, on the CPU and on this rank's GPU; `rewind` restores them."""

    def __init__(self) -> None:
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None

    def rewind(self) -> None:
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda)
