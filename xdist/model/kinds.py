"""What xdist knows of each kind of encoder, by its model type: the one place that differs from kind to kind. Needs no torch.

The admission test compares these values with transformers' own classes (tests/unit/test_admission_*.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from xdist.errors import UserError, unknown


@dataclass(frozen=True, slots=True)
class HeadForm:
    """A head as transformers' class of the kind has it: dropout, dense, activation, norm, dropout, projection. The names of its
    layers there; an activation or a pooling may be that of the configuration, whose key is given with a `$`."""

    out: str
    dense: str = ""
    activation: str = ""
    norm: str = ""
    biases: str = ""  # the key that says whether `dense` has a bias; '': it has
    drops_states: bool = False  # whether dropout is also before the dense layer
    pooling: str = "first"  # the states of a sequence that are read: its first token's, or the mean of all


@dataclass(frozen=True, slots=True)
class LanguageForm:
    """The head of masked language modelling in a checkpoint of the kind: the names of `dense`, of `norm`, of the product's
    `matrix`, which is the embedding unless tie_word_embeddings is false, and of its `bias`; '': it has none."""

    dense: str = ""
    norm: str = ""
    matrix: str = ""
    bias: str = ""
    activation: str = "gelu"  # as in HeadForm
    biases: str = ""
    width: str = ""  # the key of the matrix's width; '': that of the embedding
    tied: bool = True  # unless the configuration says otherwise


@dataclass(frozen=True, slots=True)
class EncoderKind:
    """`heads`: by family, those that are not xdist's own, which are RoBERTa's and BERT's."""

    # Sequences need no padding: order is known by positions that can be given, and attention asks transformers' interface.
    packs: bool = False
    # How order is known: learned for places from 0, from the padding's id + 1, by rotation, or by distance alone.
    positions: Literal["learned", "after padding", "rotary", "relative"] = "learned"
    segments: bool = True  # whether its forward takes token_type_ids
    languages: bool = False  # whether its forward takes the language of each token
    # The module whose output is the embedding layer's.
    embedded: str = "embeddings"
    # The module between it and the layers that widens what it gives, where there is one.
    widening: str = ""
    # The module that runs the layers; '': the encoder itself. None: not known.
    stack: str | None = "encoder"
    # The module whose output's first part is the last hidden states that all else is made of, where `stack` is not.
    last: str | None = None
    # What of `stack` is cut to run the lower layers alone: its list of layers, or the number of those that are run.
    layers: str = ""
    counter: str = ""
    # What of that module, in some checkpoints, comes after its first layer, under any name.
    after_first: str = ""
    # The norm of that module which comes after the last layer, and is no part of the states of any layer below.
    closing: str = ""
    # Of a layer the matrices of attention and of the feed-forward part, and the norm that ends it ('': none does), by their
    # names below `layer`, a star for each number; '': of the stack's list of layers. Adapters are there.
    attention: tuple[str, ...] = (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
    )
    mlp: tuple[str, ...] = ("intermediate.dense", "output.dense")
    ends: str = "output.LayerNorm"
    layer: str = ""
    # The two of them whose outputs are the keys and the values of that layer and nothing else; (): there are none.
    keys_values: tuple[str, ...] = ("attention.self.key", "attention.self.value")
    # Keys of the configuration: every dropout of encoder and heads, that of attention, and where heads look for theirs.
    dropouts: tuple[str, ...] = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
    attention_dropout: str = "attention_probs_dropout_prob"
    head_dropouts: tuple[str, ...] = ("classifier_dropout", "hidden_dropout_prob")
    checkpointing: bool = True  # whether its layers can be computed again in the backward pass
    language_heads: tuple[LanguageForm, ...] = ()  # several where checkpoints call the same differently
    heads: Mapping[str, HeadForm] = field(default_factory=dict)
    # Families that it cannot be trained or scored on, with the reason.
    without: Mapping[str, str] = field(default_factory=dict)
    # Raised whenever a model of this kind would train to another result than before: part of a run's key in a study.
    revision: int = 0

    @property
    def every_layer(self) -> str:
        """The names of its layers in the encoder, a star for each number; '': they are no separate modules."""
        return (
            self.layer or ".".join(part for part in (self.stack, self.layers, "*") if part) if self.layers or self.layer else ""
        )

    def at(self, names: Sequence[str]) -> tuple[str, ...]:
        """`names` of a layer as names in the encoder, a star for each number."""
        return tuple(f"{self.every_layer}.{name}" if self.every_layer else name for name in names)


def _first_token_heads(out: str, dense: str, activation: str, **more: Any) -> dict[str, HeadForm]:
    form = HeadForm(out, dense, activation, **more)
    return {"classification": form, "multiple-choice": form}


_ROBERTA_LM = (LanguageForm("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder.weight", "lm_head.bias"),)


def _bert_lm(prefix: str, dense: str = "transform.dense", norm: str = "transform.LayerNorm") -> LanguageForm:
    dense, norm, matrix, bias = (f"{prefix}.{part}" for part in (dense, norm, "decoder.weight", "bias"))
    return LanguageForm(dense, norm, matrix, bias, activation="$hidden_act")


_ROBERTA = EncoderKind(packs=True, positions="after padding", layers="layer", language_heads=_ROBERTA_LM)
_MODERN: Mapping[str, Any] = {
    "dense": "head.dense",
    "activation": "$classifier_activation",
    "norm": "head.norm",
    "biases": "classifier_bias",
}
KINDS: Mapping[str, EncoderKind] = {
    "xlm-roberta": _ROBERTA,
    "xlm-roberta-xl": EncoderKind(
        packs=True, positions="after padding", layers="layer", closing="LayerNorm", ends="", language_heads=_ROBERTA_LM
    ),
    "roberta": replace(_ROBERTA, revision=1),  # words of tagging tasks had other pieces
    "camembert": _ROBERTA,
    "bert": EncoderKind(packs=True, layers="layer", language_heads=(_bert_lm("cls.predictions"),)),
    "electra": EncoderKind(
        packs=True,
        widening="embeddings_project",
        layers="layer",
        language_heads=(
            LanguageForm(
                "generator_predictions.dense",
                "generator_predictions.LayerNorm",
                "generator_lm_head.weight",
                "generator_lm_head.bias",
            ),
        ),
        heads={
            "classification": HeadForm("classifier.out_proj", "classifier.dense", "gelu", drops_states=True),
            "multiple-choice": HeadForm("classifier", "sequence_summary.summary", "$summary_activation"),
        },
        revision=1,
    ),
    "modernbert": EncoderKind(
        packs=True,
        positions="rotary",
        segments=False,
        stack="",
        layers="layers",
        closing="final_norm",
        attention=("attn.Wqkv", "attn.Wo"),
        keys_values=(),
        mlp=("mlp.Wi", "mlp.Wo"),
        ends="",
        dropouts=("attention_dropout", "embedding_dropout", "mlp_dropout", "classifier_dropout"),
        attention_dropout="attention_dropout",
        head_dropouts=("classifier_dropout",),
        language_heads=(
            LanguageForm(
                "head.dense",
                "head.norm",
                "decoder.weight",
                "decoder.bias",
                activation="$classifier_activation",
                biases="classifier_bias",
            ),
        ),
        heads={
            **_first_token_heads("classifier", pooling="$classifier_pooling", **_MODERN),
            "tagging": HeadForm("classifier", **_MODERN),
            "span-qa": HeadForm("classifier", **_MODERN),
        },
        revision=1,
    ),
    "eurobert": EncoderKind(
        packs=True,
        positions="rotary",
        segments=False,
        embedded="embed_tokens",
        stack="",
        layers="layers",
        closing="norm",
        attention=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
        keys_values=("self_attn.k_proj", "self_attn.v_proj"),
        mlp=("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
        ends="",
        dropouts=("attention_dropout", "classifier_dropout"),  # the second is xdist's own: heads have none there
        attention_dropout="attention_dropout",
        head_dropouts=("classifier_dropout",),
        language_heads=(LanguageForm(matrix="lm_head.weight", tied=False),),
        heads={"classification": HeadForm("classifier", "dense", "gelu", pooling="$classifier_pooling")},
        revision=1,
    ),
    "deberta-v2": EncoderKind(
        positions="relative",
        last="",  # the encoder reads its stack's second part, all hidden states
        after_first="conv",
        layers="layer",
        attention=(
            "attention.self.query_proj",
            "attention.self.key_proj",
            "attention.self.value_proj",
            "attention.output.dense",
        ),
        keys_values=(),  # keys of positions too
        dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob", "pooler_dropout", "cls_dropout"),
        head_dropouts=("cls_dropout", "hidden_dropout_prob"),
        language_heads=(
            _bert_lm("cls.predictions"),
            _bert_lm("lm_predictions.lm_head", "dense", "LayerNorm"),
        ),
        heads=_first_token_heads("classifier", "pooler.dense", "$pooler_hidden_act"),
        revision=1,
    ),
    "rembert": EncoderKind(
        widening="encoder.embedding_hidden_mapping_in",
        layers="layer",
        dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob"),
        head_dropouts=("classifier_dropout_prob",),
        language_heads=(
            LanguageForm(
                "cls.predictions.dense",
                "cls.predictions.LayerNorm",
                "cls.predictions.decoder.weight",
                "cls.predictions.decoder.bias",
                activation="$hidden_act",
                width="output_embedding_size",
                tied=False,
            ),
        ),
        revision=1,
    ),
    "distilbert": EncoderKind(
        segments=False,
        stack="transformer",
        layers="layer",
        attention=("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
        keys_values=("attention.k_lin", "attention.v_lin"),
        mlp=("ffn.lin1", "ffn.lin2"),
        ends="output_layer_norm",
        dropouts=("dropout", "attention_dropout", "seq_classif_dropout", "qa_dropout"),
        attention_dropout="attention_dropout",
        head_dropouts=("seq_classif_dropout",),
        language_heads=(
            LanguageForm(
                "vocab_transform",
                "vocab_layer_norm",
                "vocab_projector.weight",
                "vocab_projector.bias",
                activation="$activation",
            ),
        ),
        heads=_first_token_heads("classifier", "pre_classifier", "relu"),
        revision=1,
    ),
    "albert": EncoderKind(
        layer="encoder.albert_layer_groups.*.albert_layers.*",  # one for all, or few
        attention=("attention.query", "attention.key", "attention.value", "attention.dense"),
        keys_values=(),  # layers share them
        mlp=("ffn", "ffn_output"),
        ends="full_layer_layer_norm",
        dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob"),
        head_dropouts=("classifier_dropout_prob",),
        checkpointing=False,
        language_heads=(_bert_lm("predictions", "dense", "LayerNorm"),),
        revision=1,
    ),
    "xlm": EncoderKind(
        segments=False,  # it has the argument, and looks the ids up among the words
        languages=True,
        embedded="layer_norm_emb",
        stack="",
        counter="n_layers",
        attention=("attentions.*.q_lin", "attentions.*.k_lin", "attentions.*.v_lin", "attentions.*.out_lin"),
        keys_values=("attentions.*.k_lin", "attentions.*.v_lin"),
        mlp=("ffns.*.lin1", "ffns.*.lin2"),
        ends="layer_norm2.*",
        dropouts=("dropout", "attention_dropout", "summary_first_dropout"),
        attention_dropout="attention_dropout",
        head_dropouts=("summary_first_dropout",),
        checkpointing=False,
        language_heads=(LanguageForm(matrix="pred_layer.proj.weight", bias="pred_layer.proj.bias"),),
        heads={"classification": HeadForm("sequence_summary.summary", drops_states=True)},
        without={"span-qa": "XLM answered questions with a beam search over starts and ends, which is not here"},
        revision=1,
    ),
}
UNKNOWN = EncoderKind(stack=None, keys_values=())

_DECODER = "a decoder: each token sees only those before it, so the first, which heads read, sees nothing"
_BOTH = "an encoder with a decoder; xdist trains encoders"
_UNCHECKED = "its attention is of a kind that was not checked here"
# What users request now and then, and why it is missing.
REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("gpt2", "gpt_neo", "gpt_neox", "llama", "mistral", "gemma", "gemma2", "qwen2", "qwen3", "opt"), _DECODER),
    **dict.fromkeys(("bloom", "xglm", "phi3", "falcon", "gemma3", "gemma3_text", "openai-gpt", "mamba", "olmo2"), _DECODER),
    **dict.fromkeys(("t5", "mt5", "umt5", "longt5", "bart", "mbart", "m2m_100", "marian", "pegasus"), _BOTH),
    **dict.fromkeys(("encoder-decoder", "t5gemma", "nllb-moe", "byt5", "switch_transformers"), _BOTH),
    "canine": "it reads characters and has no vocabulary of pieces",
    "xmod": "it computes with adapters of one language at a time, and needs to know which",
    **dict.fromkeys(("mpnet", "roformer"), _UNCHECKED),
}


def kind_of(config: Any) -> EncoderKind:
    """Of a configuration of transformers; of a type that is not described here, what holds for any."""
    return KINDS.get(config.model_type, UNKNOWN)


def check_kind(place: str, values: Mapping[str, Any]) -> EncoderKind:
    """The kind of a config.json with these values. Raises UserError, one line, for what is no encoder that xdist takes."""
    name = values.get("model_type")
    if not isinstance(name, str):
        raise UserError(f"{place}: config.json names no model_type")
    reason = REFUSED.get(name)
    if values.get("is_encoder_decoder"):
        reason = reason or _BOTH
    elif name in KINDS and values.get("is_decoder"):
        reason = f"is_decoder in config.json makes it {_DECODER}"
    if reason:
        raise UserError(f"{place}: model type '{name}' is not taken: {reason} (taken: {', '.join(KINDS)})")
    if name not in KINDS:
        raise UserError(f"{place}: {unknown('model type', name, KINDS)}")
    kind = KINDS[name]
    if kind.positions == "after padding" and "pad_token_id" in values and values["pad_token_id"] is None:
        raise UserError(f"{place}: pad_token_id is null in config.json, and encoders of type '{name}' count positions from it")
    return kind
