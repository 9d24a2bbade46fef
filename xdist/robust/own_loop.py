"""Robust training in your own loop: the loss that a method trains with, for a model of transformers and a padded batch.

The methods are those of a run, with the same passes; this file only gives them what they need of such a model and
batch: the tokens without padding, where shifts enter, the loss and the predictions that are compared.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedModel

from xdist.config.loading import Source, validated
from xdist.config.method import Method
from xdist.config.robust import Robust, in_order
from xdist.config.section import Section
from xdist.errors import UserError
from xdist.model.masks import Masks
from xdist.model.sites import shift_inputs, shift_last_states
from xdist.robust.passes import Chain, Context, Pass
from xdist.robust.statistics import Statistics
from xdist.tasks.batch import Batch, View

ME = "perturbed_loss"
IGNORED = -100  # the label of what has none, in every loss of transformers
IN_FP16 = 2.0**12  # that a mean loss is multiplied by on its way to where it is climbed; the loop's own scale is not known here
Described = str | Mapping[str, Any] | Method


def perturbed_loss(
    model: nn.Module,
    batch: Mapping[str, Any],
    method: Described | Sequence[Described],
    *,
    step: int = 0,
    seed: int = 0,
    steps: int | None = None,
    special_ids: Iterable[int] | None = None,
) -> Tensor:
    """The loss, a scalar, whose backward gives the gradients that `method` trains with: that of all its passes, with their
    weights. Where the method changes nothing it is the model's own loss.

    `model`: an encoder of transformers with a head, that returns `.loss` (a mean over its labels) for `batch`; one that is
    wrapped, as for several GPUs, is taken as well. `batch`: what the model is called with, padded: "input_ids" (rows, tokens),
    of multiple choice (rows, options, tokens); "attention_mask", all ones where there is none; labels; and its other arguments.
    `method`: as under `robust` in a run: a name, a mapping, or a list of them; methods that put texts into other words are
    refused, since a batch holds none.

    `step` (from 0) and `seed` decide on what is drawn for each row of the batch, by its place in it; give another step each
    time. `steps`: of the complete training, for methods whose strength follows a schedule. `special_ids`: the tokens that stay
    where they are, a tokenizer's `all_special_ids`; None: those of the tokenizer in the folder of the model's weights, else
    those that the model's configuration names.

    A pass is one forward of the model, whose graph is kept until backward: `free` with K steps holds K of them. Looks at the
    model on the way leave nothing on its parameters. Raises UserError, one line, for what is no method, for a batch or model
    that it cannot work on, and where the special tokens are not known.

        loss = xdist.robust.perturbed_loss(model, batch, {"method": "adversarial", "radius": 0.05}, step=step)
        loss.backward()
        optimizer.step()
    """
    chain = Chain(_methods(method))
    bare = _bare(model)
    seen, labels = _batch(batch), _Labels(batch)
    device = seen.tokens.device
    masks = Masks() if chain.one_dropout else None

    def outputs(*views: View, of: nn.Module = bare) -> tuple[_Output, ...]:
        return tuple(_output(of, bare, batch, view, masks) for view in views)

    special = torch.tensor(_special(bare, chain.methods, special_ids), dtype=torch.long, device=device)
    context = Context(
        seen,
        step,
        step + 1 if steps is None else steps,
        seed,
        special,
        labels,
        bare.get_input_embeddings(),
        outputs,
        Statistics(device),
        scale=IN_FP16 if _in_fp16(bare, device) else 1.0,
    )
    total: Tensor | None = None
    for pass_ in chain.passes(context):
        loss, _ = labels.weigh_pass(pass_).loss(outputs(*pass_.views, of=model), labels)
        _climb_from(pass_, loss, context.scale)
        total = loss if total is None else total + loss
    assert total is not None
    return total


class _Given(Section):
    method: Robust


def _methods(described: Described | Sequence[Described]) -> tuple[Method, ...]:
    several = isinstance(described, Sequence) and not isinstance(described, str)
    parts = [{"method": method} if isinstance(method, str) else method for method in (described if several else [described])]
    values = [dict(method) if isinstance(method, Mapping) else method for method in parts]
    methods = in_order(validated(_Given, {"method": values if several else values[0]}, Source(Path(ME))).method)
    for method in methods:
        if method.rewrites:
            raise UserError(f"{ME}: '{method.name}' puts texts into other words, and a batch holds none: it needs a run")
        if method.of_branches:
            raise UserError(f"{ME}: '{method.name}' mixes branches, which a model of transformers has not: it needs a run")
        method.check()
    return methods


def _bare(model: nn.Module) -> PreTrainedModel:
    """The model inside what wraps it. Raises UserError where there is none of transformers, or one that cannot be hooked."""
    inner: Any = model
    while not isinstance(inner, PreTrainedModel):
        if hasattr(inner, "_orig_mod"):
            break
        inner = getattr(inner, "module", None)
        if inner is None:
            raise UserError(f"{ME}: {type(model).__name__} is no model of transformers")
    # Of what is compiled hooks are not asked again, so shifts would be left out without a word.
    if hasattr(inner, "_orig_mod") or getattr(inner, "_compiled_call_impl", None) is not None:
        raise UserError(f"{ME}: the model is compiled, and nothing can be added to its embeddings: pass the uncompiled model")
    if getattr(inner.config, "is_encoder_decoder", False):
        raise UserError(f"{ME}: {type(inner).__name__} has a decoder; xdist perturbs encoders")
    assert isinstance(inner, PreTrainedModel)
    return inner


def _batch(padded: Mapping[str, Any]) -> Batch:
    """The tokens of a padded batch in one line."""
    ids = padded.get("input_ids")
    if not isinstance(ids, Tensor) or ids.ndim not in (2, 3):
        raise UserError(f"{ME}: the batch has no input_ids of (rows, tokens) or (rows, options, tokens)")
    mask = _mask(padded)
    if mask.shape != ids.shape:
        raise UserError(f"{ME}: attention_mask is {tuple(mask.shape)}, input_ids are {tuple(ids.shape)}")
    real = mask.flatten(0, -2).bool()
    rows = torch.arange(len(ids), device=ids.device)
    batch = Batch(
        head="",
        tokens=ids.flatten(0, -2)[real],
        lengths=real.sum(-1),
        sequence_row=rows.repeat_interleave(len(real) // len(ids)),
        row_ids=rows,
    )
    batch.padded_index = real.flatten().nonzero()[:, 0]  # padded on either side
    return batch


def _mask(batch: Mapping[str, Any]) -> Tensor:
    mask = batch.get("attention_mask")
    return torch.ones_like(batch["input_ids"]) if mask is None else mask


@dataclass(frozen=True, slots=True, eq=False)
class _Output:
    """`loss`: the model's own, a mean. `logits`: (rows, classes), (rows, tokens, classes), or of answers (rows, tokens, 2)."""

    loss: Tensor
    logits: Tensor | None

    def detach(self) -> "_Output":
        return _Output(self.loss.detach(), None if self.logits is None else self.logits.detach())


def _output(model: nn.Module, bare: PreTrainedModel, batch: Mapping[str, Any], view: View, masks: Masks | None) -> _Output:
    encoder: Any = bare.base_model
    if masks:
        masks.rewind()
    with shift_inputs(encoder, view.batch, view.shifts), shift_last_states(encoder, view.batch, view.shifts):
        outputs = model(**batch)
    loss = getattr(outputs, "loss", None)
    if loss is None:
        raise UserError(f"{ME}: {type(bare).__name__} returns no loss for this batch: does it hold labels?")
    if (starts := getattr(outputs, "start_logits", None)) is not None:
        return _Output(loss, torch.stack([starts, outputs.end_logits], -1))
    return _Output(loss, getattr(outputs, "logits", None))


class _Labels:
    """The model's own loss as the objective of the passes; predictions are compared where the batch has labels."""

    def __init__(self, batch: Mapping[str, Any]) -> None:
        self.labels: Tensor | None = batch.get("labels")
        self.answers = "start_positions" in batch
        self.real = _mask(batch).bool()

    def weigh_pass(self, pass_: Pass) -> Pass:
        """The pass with its divergence, a sum over labels or answers, as a mean over them, which the model's loss is."""
        return replace(pass_, consistency=pass_.consistency / self._count()) if pass_.consistency else pass_

    def losses(self, outputs: _Output, batch: Batch) -> Tensor:
        return outputs.loss[None]

    def loss(self, outputs: _Output, batch: Batch) -> Tensor:
        return outputs.loss

    def log_probabilities(self, outputs: _Output, batch: Batch) -> Tensor:
        """(labels, classes); of answers (tokens, 2), over the tokens of each row."""
        logits = outputs.logits
        if logits is not None and self.answers:
            hidden = ~self.real[..., None]
            return logits.float().masked_fill(hidden, -torch.inf).log_softmax(1)[self.real]
        if logits is None or self.labels is None or self.labels.is_floating_point() or self.labels.shape != logits.shape[:-1]:
            raise UserError(f"{ME}: this method compares predictions: it needs labels of classes, or answers")
        return logits.float().log_softmax(-1)[self.labels != IGNORED]

    def _count(self) -> int:
        if self.labels is None or self.answers:
            return len(self.real)
        return max(1, int((self.labels != IGNORED).sum()))


def _in_fp16(model: PreTrainedModel, device: torch.device) -> bool:
    """Whether the model computes in fp16, by itself or under autocast."""
    autocast = torch.is_autocast_enabled(device.type) and torch.get_autocast_dtype(device.type) == torch.float16
    return autocast or model.dtype == torch.float16


def _climb_from(pass_: Pass, loss: Tensor, scale: float) -> None:
    """The gradients, times `scale`, of shifts that require theirs, which in a training step the backward of the pass leaves on
    them."""
    shifts = (shift.delta for view in pass_.views for shift in view.shifts)
    deltas = list({id(delta): delta for delta in shifts if isinstance(delta, Tensor) and delta.requires_grad}.values())
    for delta, slope in zip(
        deltas, torch.autograd.grad(loss.float() * scale, deltas, retain_graph=True) if deltas else (), strict=True
    ):
        delta.grad = slope


def _special(model: PreTrainedModel, methods: Sequence[Method], special_ids: Iterable[int] | None) -> list[int]:
    if special_ids is not None:
        return [int(token) for token in special_ids]
    ids = _of_tokenizer(str(model.name_or_path or "")) or _of_configuration(model.config.to_dict())
    if ids is None and not all(method.idle or getattr(method, "perturb_special", False) for method in methods):
        raise UserError(
            f"{ME}: nothing says which tokens of this {model.config.model_type} model are special: "
            "give special_ids=tokenizer.all_special_ids"
        )
    return ids or []


@lru_cache
def _of_tokenizer(place: str) -> list[int] | None:
    """The special tokens of the tokenizer in a folder, or in the hub's cache; the hub is not contacted."""
    try:
        return (
            list(AutoTokenizer.from_pretrained(place, local_files_only=True, trust_remote_code=False).all_special_ids)
            if place
            else None
        )
    except (OSError, ValueError, KeyError):
        return None


def _of_configuration(values: Mapping[str, Any]) -> list[int] | None:
    """None where it does not say how a text begins and ends."""
    by_name = {name: values.get(f"{name}_token_id") for name in ("bos", "cls", "eos", "sep", "pad", "unk", "mask")}
    ids = {name: number for name, number in by_name.items() if isinstance(number, int)}
    whole = ids.keys() & {"bos", "cls"} and ids.keys() & {"eos", "sep"}
    return sorted(set(ids.values())) if whole else None
