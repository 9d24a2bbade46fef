"""A small tokenizer of English-like words and a family's rows of given texts, for tests of what replaces words."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xdist.demo.vocabulary import MASK, SPECIAL, train_vocabulary, write_tokenizer
from xdist.formats.examples import Classified
from xdist.tasks.catalog import task
from xdist.tasks.classification import Classification
from xdist.tasks.family import Family, Row

TEXT = (
    "good alright fine nice bad evil the a film movie was is not gut schön bon de la so at all , . ; (ok) (film) Good FINE U.S."
)
WORDS = TEXT.split()
SYNONYMS = {"good": ["alright", "fine", "nice"], "bad": ["evil"], "film": ["movie"], "the": [], "not": ["not at all"]}


def words_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """An XLM-R tokenizer that knows every character of WORDS, what is in addition to what, and the shorter of the words."""
    trained = train_vocabulary([" ".join(WORDS)] * 20, 60)  # for its normalisation rules
    marked = [f"▁{word}" for word in WORDS]
    parts = {word[low:high] for word in marked for low in range(len(word)) for high in (low + 1, low + 2)}
    learnt = sorted(parts | {word for word in marked if len(word) < 6} | {"▁"}, key=lambda part: (len(part), part))
    scores = [-3.0 - 0.01 * number - 0.8 * len(part) for number, part in enumerate(learnt)]
    folder.mkdir(parents=True)
    pieces = [*SPECIAL, *learnt, MASK]
    write_tokenizer(folder, replace(trained, pieces=pieces, scores=[0.0] * 4 + scores + [0.0]), max_length=512)
    (folder / "config.json").write_text('{"model_type": "xlm-roberta"}')
    return AutoTokenizer.from_pretrained(folder)


def arrays(rows: Any) -> list[Row]:
    """Rows as shards give them: lists as arrays."""
    return [
        {name: np.asarray(value, np.int32) if isinstance(value, (list, np.ndarray)) else value for name, value in row.items()}
        for row in rows
    ]


def pair_rows(
    pairs: Sequence[tuple[str, ...]], tokenizer: PreTrainedTokenizerBase, max_length: int = 128
) -> tuple[Family, list[Row]]:
    """Rows of PAWS-X with labels 0, 1, 0, …"""
    family = Classification(task("pawsx"))
    examples = [Classified(texts=texts, label=family.task.labels[number % 2]) for number, texts in enumerate(pairs)]
    return family, arrays(family.encode(examples, tokenizer, max_length))
