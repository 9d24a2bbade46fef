"""The language of each token, for encoders that need it: XLM of fifteen languages."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from xdist.errors import UserError
from xdist.languages import code_among
from xdist.model.kinds import kind_of
from xdist.tasks.batch import Batch


def language_numbers(encoder: PreTrainedModel, batch: Batch) -> Tensor | None:
    """(T,) the encoder's number of the language of each token; None for an encoder that does not need it. Raises UserError for
    a language that it does not know, and for a batch that says none."""
    config = encoder.config
    if not kind_of(config).languages or not config.use_lang_emb or config.n_langs < 2:
        return None
    if batch.languages is None:
        raise UserError(f"a model of type '{config.model_type}' needs the language of each row")
    known = tuple(config.lang2id)
    if unknown := next((code for code in batch.languages if code_among(known, code) is None), None):
        raise UserError(f"a model of type '{config.model_type}' was not trained on '{unknown}'")
    numbers = torch.tensor([config.lang2id[code_among(known, code)] for code in batch.languages], device=batch.tokens.device)
    return numbers[batch.token_row]
