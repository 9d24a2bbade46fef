"""What was run, for a reader who never saw its YAML: the question, what each stage trains, in which keys conditions differ."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StageRun:
    """What the runs of one stage have, as printed; where runs differ, their values joined by " or "."""

    stage: str
    runs: int
    encoder: str
    data: str
    updates: str
    batch: str
    rate: str
    robust: str

    @property
    def cells(self) -> tuple[str, ...]:
        return self.encoder, self.data, self.updates, self.batch, self.rate, self.robust


HEADS = ("encoder", "trained on", "updates", "examples per update", "highest rate", "robust training")


@dataclass(frozen=True, slots=True)
class NumberSeries:
    """Conditions that differ from each other in one number alone, the value of `key` ("target: robust.radius"), and are
    compared with the same baseline. `conditions` by that number, from small to large."""

    key: str
    against: str
    conditions: Mapping[float, str]


@dataclass(frozen=True, slots=True)
class WhatWasRun:
    """`question` in paragraphs; `differs`: by condition, a line on each key that is not as in its baseline; `frozen`: whether
    the study was frozen before its first run, in a sentence; `unshown`: a line on each run that began and is not shown."""

    stages: tuple[StageRun, ...]
    differs: Mapping[str, tuple[str, ...]]
    question: tuple[str, ...] = ()
    hypotheses: tuple[str, ...] = ()
    frozen: str = ""
    unshown: tuple[str, ...] = ()
    series: tuple[NumberSeries, ...] = ()
