"""The heads of tasks in the form that transformers gives them on an encoder's kind (xdist/model/kinds.py)."""

from collections.abc import Callable, Collection
from typing import Any, Protocol, cast

from torch import Tensor, nn
from transformers.activations import ACT2FN

from xdist.model.kinds import HeadForm, LanguageForm, kind_of
from xdist.tasks.batch import Batch
from xdist.tasks.family import Family
from xdist.tasks.mlm import LanguageHead

MeanOf = Callable[[Tensor], Tensor]  # from states of tokens to the mean of each sequence


class Configured(Protocol):
    """A configuration of transformers."""

    model_type: str
    hidden_size: int


class FormedHead(nn.Module):
    """Dropout, dense, activation, norm, dropout and projection, or those of them that the form has. `pooling`: "first", "mean"
    of states, or "late": the mean of what comes out for each token."""

    def __init__(self, form: HeadForm, config: Configured, outputs: int, dropout: float) -> None:
        super().__init__()
        width, biases = config.hidden_size, bool(getattr(config, form.biases)) if form.biases else True
        self.pooling = {"cls": "first", "bos": "first"}.get(found := str(_form_value(form.pooling, config)), found)
        self.before, self.after = nn.Dropout(dropout) if form.drops_states else nn.Identity(), nn.Dropout(dropout)
        self.dense = nn.Linear(width, width, biases) if form.dense else None
        self.activation = _activation(form.activation, config)
        self.norm = _norm(config, width) if form.norm else None
        self.out = nn.Linear(width, outputs)

    def forward(self, states: Tensor) -> Tensor:
        states = self.before(states)
        if self.dense is None:
            return cast(Tensor, self.out(states))
        states = self.activation(self.dense(states))
        return cast(Tensor, self.out(self.after(states if self.norm is None else self.norm(states))))

    def of_sequences(self, states: Tensor, mean: MeanOf) -> Tensor:
        """The outputs for complete sequences where not the first token alone is read; `states` are of all tokens."""
        return mean(self(states)) if self.pooling == "late" else self(mean(states))


def make_head(family: Family, config: Any, dropout: float | None = None) -> nn.Module:
    """The head of a family on an encoder of this configuration, with the checkpoint's dropout where none is given."""
    kind, task = kind_of(config), family.task
    if dropout is None:
        dropout = head_dropout(config)
    plain = family.head(config.hidden_size, dropout)
    if isinstance(plain, LanguageHead):
        return _language_head(language_form(config), config)
    form = kind.heads.get(task.family)
    if form is None or not any(True for _ in plain.parameters()):
        return plain
    outputs = {"multiple-choice": 1, "span-qa": 2}.get(task.family, len(task.labels))
    return FormedHead(form, config, outputs, dropout)


def in_saved_form(head: nn.Module, family: Family, config: Any, held: Collection[str]) -> nn.Module:
    """`head`, or where `held`, the names of saved parameters, are those of the head that versions before gave encoders of every
    kind, that one."""
    if set(held) == set(head.state_dict()):
        return head
    plain = family.head(config.hidden_size, head_dropout(config))
    return plain if held and set(held) == set(plain.state_dict()) else head


def head_dropout(config: Any) -> float:
    """The dropout of heads on an encoder of this configuration."""
    found = (getattr(config, name, None) for name in kind_of(config).head_dropouts)
    return float(next((share for share in found if share is not None), 0.0))


def language_form(config: Any) -> LanguageForm:
    """That of a checkpoint of the kind; of several the first, which differ in names alone."""
    return next(iter(kind_of(config).language_heads), LanguageForm("dense", "norm", bias="bias"))


def sequence_means(values: Tensor, batch: Batch) -> Tensor:
    """(S, n) the mean over the tokens of each sequence of `values` (T, n)."""
    total = values.new_zeros(len(batch.lengths), values.shape[1]).index_add(0, batch.token_sequence, values)
    return total / batch.lengths[:, None]


def _language_head(form: LanguageForm, config: Any) -> LanguageHead:
    tied = bool(getattr(config, "tie_word_embeddings", form.tied))
    # Of some kinds the embedding is narrower than the states.
    inner = next((getattr(config, name) for name in ("embedding_size", "input_embedding_size") if hasattr(config, name)), 0)
    if form.width and not tied:
        inner = getattr(config, form.width)
    biases = bool(getattr(config, form.biases)) if form.biases else True
    inner = inner if inner and form.dense else config.hidden_size
    return LanguageHead(
        nn.Linear(config.hidden_size, inner, biases) if form.dense else None,
        _activation(form.activation, config),
        _norm(config, inner) if form.norm else None,
        bool(form.bias) and bool(getattr(config, "decoder_bias", True)),
        None if tied else nn.Linear(inner, config.vocab_size, bias=False),
    )


def _form_value(value: str, config: Any) -> Any:
    """A value of a form, or what the configuration says under its key."""
    return getattr(config, value[1:]) if value.startswith("$") else value


def _activation(name: str, config: Any) -> nn.Module:
    said = _form_value(name, config) if name else None
    return ACT2FN[said] if said else nn.Identity()


def _norm(config: Any, width: int) -> nn.LayerNorm:
    names = ("layer_norm_eps", "norm_eps")  # of ModernBERT the second
    epsilon = next((getattr(config, name) for name in names if hasattr(config, name)), 1e-12)
    return nn.LayerNorm(width, eps=epsilon, bias=bool(getattr(config, "norm_bias", True)))
