"""What is known of an encoder before its weights are loaded. Without torch's model code, which takes seconds to import."""

from pathlib import Path

from transformers import AutoConfig, PretrainedConfig, PreTrainedTokenizerBase

from xdist.data.adapters import root_of
from xdist.data.fetched import check_place, load_error
from xdist.errors import UserError
from xdist.model.admission import check_files, check_values
from xdist.model.kinds import check_kind
from xdist.tasks import special_tokens


def load_config(backbone: str) -> PretrainedConfig:
    """The configuration of a folder or hub id, without its weights. Raises UserError."""
    check_place(backbone)
    folder = Path(backbone)
    if folder.is_dir():
        check_files(folder)
    try:
        values, _ = PretrainedConfig.get_config_dict(backbone)
        check_kind(backbone, values)
        below = Path(root_of(backbone)[0])
        check_values(backbone, values, below if below.is_dir() else None)
        config: PretrainedConfig = AutoConfig.from_pretrained(backbone, trust_remote_code=False)
        return config
    # Any error of a class on values of another kind: transformers checks few of them.
    except (OSError, ValueError, AttributeError, TypeError, LookupError, RecursionError, ArithmeticError) as error:
        raise load_error(backbone, "", error) from None


def check_tokenizer(backbone: str, config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises UserError when the tokenizer can produce an id that the embedding has no row for, or pads or marks two texts
    otherwise than the encoder is called here."""
    rows = config.vocab_size
    largest = max(tokenizer.get_vocab().values())
    if largest >= rows:
        raise UserError(f"{backbone}: the tokenizer's ids reach {largest}, the encoder's embedding has {rows} rows")
    if config.pad_token_id is not None and tokenizer.pad_token_id != config.pad_token_id:
        raise UserError(
            f"{backbone}: the tokenizer pads with id {tokenizer.pad_token_id}, the encoder expects {config.pad_token_id}"
        )
    separator(config, tokenizer)


def separator(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The special tokens after which segment 1 begins, for an encoder that has learnt to distinguish segments and a tokenizer
    that marks them; else none. Raises UserError for segments that xdist cannot give."""
    learnt: int = getattr(config, "type_vocab_size", None) or 0
    return special_tokens.separator(tokenizer) if learnt > 1 else ()


def check_layer(layer: int | None, backbone: str, config: PretrainedConfig) -> None:
    """Raises UserError when sentence vectors are to come from a layer that the encoder has not."""
    if layer is not None and layer > config.num_hidden_layers:
        raise UserError(f"evaluate.layer: there is no layer {layer}: {backbone} has {config.num_hidden_layers}")
