"""A syntax-augmented encoder: the reader of trees as its child `syntax`, joined by hooks on the matrices of keys and values."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import PreTrainedModel

from xdist.config.syntax import Syntax
from xdist.errors import UserError
from xdist.model.adapters import speaking
from xdist.model.adapters.attached import as_pattern, embedded_width
from xdist.model.kinds import kind_of
from xdist.model.syntax.modules import Forest, TreeReader, forest
from xdist.tasks.batch import Batch

NAME = "syntax"  # of the child, and so the beginning of the names of its weights
_READING = "xdist_syntax"


@dataclass(slots=True, eq=False)
class TreesRead:
    """A batch that is being read: its trees, and what graph attention makes of them, (T, g), once its embeddings are there."""

    batch: Batch
    trees: Forest
    states: Tensor | None = None


def reader_of(encoder: nn.Module) -> TreeReader | None:
    reader = getattr(encoder, NAME, None)
    return reader if isinstance(reader, TreeReader) else None


def attach_reader(encoder: PreTrainedModel, section: Syntax, seed: int) -> TreeReader:
    """Give `encoder` a reader of trees as `section` describes it, whose weights depend on the seed alone. Raises UserError for
    an encoder without keys and values of each layer."""
    places = places_of(encoder)
    config = encoder.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    if section.joined > heads:
        raise UserError(f"model.syntax.joined: {section.joined}, and the layers of the encoder have {heads} heads of keys")
    first: Any = encoder.get_submodule(places[0][0])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int.from_bytes(hashlib.sha256(f"{seed} {NAME}".encode()).digest()[:8]))
        columns = section.joined * (first.out_features // heads)
        reader = TreeReader(embedded_width(encoder), len(places), columns, section)
        reader.begin(getattr(config, "initializer_range", 0.02))
    encoder.add_module(NAME, reader.to(encoder.dtype).train(encoder.training))
    setattr(encoder, _READING, None)
    for number, names in enumerate(places):
        for name, matrices in zip(names, (reader.keys, reader.values), strict=True):
            encoder.get_submodule(name).register_forward_hook(partial(_add, encoder, matrices[number], section.strength))
    return reader


def places_of(encoder: PreTrainedModel) -> list[tuple[str, str]]:
    """The names of the matrices of keys and of values of each layer, in their order. Raises UserError."""
    check_kind(encoder.config)
    both = kind_of(encoder.config).at(kind_of(encoder.config).keys_values)
    number = encoder.config.num_hidden_layers
    places = [(both[0].replace("*", str(layer)), both[1].replace("*", str(layer))) for layer in range(number)]
    modules = dict(encoder.named_modules())
    assert all(isinstance(modules.get(name), nn.Linear) for names in places for name in names), as_pattern(both[0])
    return places


def check_kind(config: Any) -> None:
    """Raises UserError for a configuration of an encoder whose layers have no separate matrices of keys and values."""
    if not kind_of(config).keys_values:
        raise UserError(
            f"model.syntax: layers of encoders of type '{config.model_type}' have no matrices for keys and values alone"
        )


@contextmanager
def reading_trees(encoder: PreTrainedModel, batch: Batch) -> Iterator[TreesRead | None]:
    """Inside, the encoder reads `batch` with its trees; the embeddings are taken as earlier code left them, shifted ones
    too. None, and nothing is done, where the encoder reads none."""
    if (reader := reader_of(encoder)) is None:
        yield None
        return
    trees_read = TreesRead(batch, forest(batch))

    def read(_table: nn.Module, _inputs: object, output: Tensor) -> None:
        trees_read.states = reader(batch.of_tokens(output), trees_read.trees)

    handle = encoder.get_input_embeddings().register_forward_hook(read)
    try:
        with _let_read(encoder, trees_read):
            yield trees_read
    finally:
        handle.remove()


def tree_losses(encoder: nn.Module, trees_read: TreesRead) -> tuple[Tensor, Tensor]:
    """Of distances and of depths, (S,) each, of a batch that was read."""
    reader = reader_of(encoder)
    assert reader is not None
    assert trees_read.states is not None
    losses: tuple[Tensor, Tensor] = reader.probes(trees_read.states, trees_read.trees)
    return losses


@contextmanager
def _let_read(encoder: nn.Module, trees_read: TreesRead | None) -> Iterator[None]:
    before = getattr(encoder, _READING)
    setattr(encoder, _READING, trees_read)
    try:
        yield
    finally:
        setattr(encoder, _READING, before)


def recompute_arguments(encoder: PreTrainedModel) -> dict[str, Any]:
    """As `speaking.recompute_arguments`, which stays, with the trees that were read."""
    before = speaking.recompute_arguments(encoder)
    if reader_of(encoder) is None:
        return before

    def contexts() -> tuple[ExitStack, ExitStack]:
        forward, again = ExitStack(), _Entered(encoder, getattr(encoder, _READING))
        if "context_fn" in before:
            outer, inner = before["context_fn"]()
            forward.push(outer)
            again.others.append(inner)
        return forward, again

    return {"context_fn": contexts}


class _Entered(ExitStack):
    """What is entered when layers are computed again."""

    def __init__(self, encoder: nn.Module, trees_read: TreesRead | None) -> None:
        super().__init__()
        self.encoder, self.trees_read, self.others = encoder, trees_read, list[Any]()

    def __enter__(self) -> "_Entered":
        for manager in self.others:
            self.enter_context(manager)
        self.enter_context(_let_read(self.encoder, self.trees_read))
        return self


def _add(
    encoder: nn.Module, matrix: nn.Module, strength: float, _module: nn.Module, _inputs: object, output: Tensor
) -> Tensor | None:
    """Keys or values, (1, T, d) or (S, L, d), with what a layer makes of the trees added to their first columns."""
    trees_read: TreesRead | None = getattr(encoder, _READING)
    if trees_read is None or trees_read.states is None:
        raise UserError("model.syntax: the model reads dependency trees, and is called without any")
    added = (strength * matrix(trees_read.states)).to(output.dtype)
    flat = output.flatten(0, -2)
    if len(flat) != len(added):
        added = added.new_zeros(len(flat), added.shape[1]).index_copy(0, trees_read.batch.padded_index, added)
    return (flat + pad(added, (0, flat.shape[1] - added.shape[1]))).view_as(output)
