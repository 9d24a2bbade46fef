"""A method of another's: two passes a step under noise that fades out over the run, as large as a file says."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from xdist.errors import UserError
from xdist.robust import Method, StepCost, register


class Fading(Method):
    """Noise on the embeddings that is gone when the run ends."""

    method: Literal["fading"] = "fading"
    sizes: Path = Field(description="a text file of two numbers: how large the noise of each pass is at the beginning")
    special: bool = Field(False, description="move the special tokens too")

    def files(self) -> list[Path]:
        return [self.sizes]

    def cost(self, before: StepCost, alone: bool) -> StepCost:
        return replace(before, clean=0.0, moved=2 * before.trained)

    def passes(self, before, context):  # type: ignore[no-untyped-def]
        import torch

        from xdist.robust.noise import gaussian

        left = 1 - context.step / context.steps

        def shifted(view, number, size):  # type: ignore[no-untyped-def]
            def noise(states):  # type: ignore[no-untyped-def]
                drawn = gaussian(view.batch, states.shape[-1], *context.key(16 * number))
                fixed = torch.isin(view.batch.tokens, context.special_ids)[:, None] & (not self.special)
                return left * size * drawn * ~fixed

            return view.shifted("input", noise)

        for one in before:
            for number, size in enumerate(sizes_in(self.sizes)):
                yield replace(one.scaled(1 / 2), views=tuple(shifted(view, number, size) for view in one.views))


@lru_cache
def sizes_in(path: Path) -> tuple[float, ...]:
    words = path.read_text(encoding="utf-8").split()
    if len(words) != 2:
        raise UserError(f"{path}: expected two numbers, found {len(words)}")
    return tuple(map(float, words))


register(Fading)
