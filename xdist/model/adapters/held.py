"""Which adapters an encoder has, and which of them read the batch at hand."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from xdist.languages import same_language
from xdist.tasks.batch import Batch

INVERTIBLE = "invertible"  # the name of the place after the input embedding
_HELD = "xdist_adapters"


@dataclass(slots=True)
class Attached:
    """One adapter: its modules by the names of those that they are added to. `language`: of which it is, None: of every
    language;
    `source`: the folder that it came from."""

    kind: str
    modules: dict[str, nn.Module]
    slot: str
    language: str | None = None
    trained: bool = False
    source: Path | None = None

    def parameters(self) -> dict[str, nn.Parameter]:
        """By place and name."""
        return {f"{place}.{name}": value for place, module in self.modules.items() for name, value in module.named_parameters()}

    def names(self, name: str) -> bool:
        """Whether a parameter of the encoder of this name is part of an adapter."""
        return f".{self.slot}." in f".{name}"


@dataclass(slots=True)
class BatchRead:
    """A batch that is being read, and by slot which of its tokens an adapter reads, found once for all layers; None: all."""

    batch: Batch
    tokens: dict[str, Tensor | None] = field(default_factory=dict)


@dataclass(slots=True)
class Held:
    """All adapters of an encoder from the lowest to the highest, and what is being read."""

    adapters: list[Attached] = field(default_factory=list)
    fallback: str | None = None
    reading: BatchRead | None = None
    hooked: set[str] = field(default_factory=set)

    @property
    def languages(self) -> list[Attached]:
        return [adapter for adapter in self.adapters if adapter.language is not None]

    def speaker(self, language: str | None) -> Attached | None:
        """The adapter that reads a text in `language`, the last one that came; None: it is read without one."""
        for adapter in reversed(self.languages):
            if language and adapter.language and (adapter.language == language or same_language(adapter.language, language)):
                return adapter
        return None if language == self.fallback else self.speaker(self.fallback)


def adapters_of(encoder: nn.Module) -> Held:
    """What an encoder has; filled by `attach_adapter`."""
    if not hasattr(encoder, _HELD):
        setattr(encoder, _HELD, Held())
    adapters: Held = getattr(encoder, _HELD)
    return adapters


def trained_of(encoder: nn.Module) -> Attached | None:
    """The adapter that a training trains, where it trains one."""
    return next((adapter for adapter in adapters_of(encoder).adapters if adapter.trained), None)


def tokens_read_by(adapters: Held, adapter: Attached) -> Tensor | None:
    """Which tokens of the batch that is being read an adapter of a language reads, their numbers; None: all."""
    reading = adapters.reading
    assert reading is not None
    if adapter.slot not in reading.tokens:
        batch = reading.batch
        speakers = {code: adapters.speaker(code) for code in dict.fromkeys(batch.languages or ("",))}
        mine = [speakers[code] is adapter for code in batch.languages or ("",) * len(batch.row_ids)]
        rows = torch.tensor(mine, device=batch.tokens.device)
        reading.tokens[adapter.slot] = None if all(mine) else rows[batch.token_row].nonzero()[:, 0]
    return reading.tokens[adapter.slot]


def next_slot(encoder: nn.Module) -> str:
    """The name of the modules of the adapter that is attached next."""
    return f"adapter_{len(adapters_of(encoder).adapters)}"


def describe_languages(encoder: nn.Module, languages: Iterable[str]) -> list[str]:
    """A line on the languages that have no own adapter, and what they are read with; none where there are no language
    adapters."""
    adapters = adapters_of(encoder)
    if not adapters.languages:
        return []
    without = [
        code
        for code in dict.fromkeys(languages)
        if (adapter := adapters.speaker(code)) is None or not same_language(adapter.language or "", code)
    ]
    instead = f"that of '{adapters.fallback}'" if adapters.fallback else "none"
    return [f"languages without their own adapter are read with {instead}: {', '.join(without)}"] if without else []
