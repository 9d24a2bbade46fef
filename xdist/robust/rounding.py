"""Whether perturbations outlive the rounding of the states that they are added to: in bf16 R3F's 1e-5 mostly does not."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from xdist.robust.passes import Pass
from xdist.tasks.batch import Shift, View

LOST = 0.5  # of a perturbation's length, by which rounding may change it


class Rounding:
    """What states of `dtype` make of the shifts of the passes that are `watched`. Sums stay on the device."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype = dtype
        # Coordinates to move, those that moved, squared length of the shifts and of what rounding made of them.
        self.sums = torch.zeros(4, dtype=torch.float64, device=device)
        self.seen = False  # the same on all ranks, which make the same passes

    def watch_pass(self, one: Pass) -> Pass:
        """The same pass, which notes its shifts where they are added."""
        noting: dict[int, Shift] = {}  # a shift of several views is one, else they would not share the encoder's work

        def noted(shift: Shift) -> Shift:
            return noting.setdefault(id(shift), replace(shift, delta=self._note_added(shift.delta)))

        def of(view: View) -> View:
            return replace(view, shifts=tuple(noted(shift) for shift in view.shifts))

        self.seen = self.seen or any(view.shifts for view in one.views)
        return replace(one, views=tuple(of(view) for view in one.views))

    def _note_added(self, delta: Tensor | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def added(states: Tensor) -> Tensor:
            found = delta if isinstance(delta, Tensor) else delta(states)
            with torch.no_grad():
                exact = found.float()
                moved = (states + exact.to(self._dtype).float()).to(self._dtype).float() - states
                wanted = exact != 0
                sums = (wanted.sum(), (wanted & (moved != 0)).sum(), exact.square().sum(), (moved - exact).square().sum())
                self.sums += torch.stack([value.double() for value in sums])
            return found

        return added


def rounding_warning(sums: list[float], precision: str) -> str:
    """What is to be said of such sums over all ranks; "" where perturbations stay what they are."""
    wanted, moved, length, change = sums
    if change <= LOST**2 * length:
        return ""
    return (
        f"in {precision} the perturbations are smaller than what states are rounded by: they move {moved / wanted:.0%} of the "
        "coordinates that they should; a larger radius (scale, of consistency) or runtime.precision=fp32 keeps them"
    )
