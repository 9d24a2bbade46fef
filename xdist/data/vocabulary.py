"""Which pieces of the vocabulary a run can meet in training: a function of its prepared data, the same on every rank."""

import logging

import numpy as np
from transformers import PreTrainedTokenizerBase

from xdist.config import Model
from xdist.data.batches import TrainingData

log = logging.getLogger(__name__)


def used_rows(model: Model, data: TrainingData, tokenizer: PreTrainedTokenizerBase) -> np.ndarray | None:
    """The sorted ids whose rows of the input embedding can get a gradient: those of the training pieces (of complete files,
    also where a limit takes less), what they may be rewritten to, and special ones. None where any id may come, where the table
    is the head's last matrix too, or where none of its rows is trained."""
    if model.vocabulary == "full" or model.embeddings_frozen:
        return None
    if data.masking and data.masking.among is None:
        return None  # any piece may stand for a masked one, and the head multiplies with every row
    used = [rows.used() for rows in data.shards]
    ids = np.unique(np.concatenate([*used, np.array(tokenizer.all_special_ids, np.int64)]))
    for rewriter in data.rewriters:
        produced = rewriter.produces(ids)
        if produced is None:
            log.info("all rows of the input embedding are trained: the replacements of words are not known beforehand")
            return None
        ids = produced
    return ids
