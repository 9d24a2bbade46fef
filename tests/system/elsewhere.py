"""What a model that was fine-tuned elsewhere is scored on, and how."""

import random
from dataclasses import dataclass
from pathlib import Path

from tiny import NAMES
from transformers import PreTrainedModel

WORDS = [word for words in NAMES.values() for word in words.split()]
LANGUAGES = ("en", "de")


@dataclass(frozen=True)
class Scored:
    """A folder with the `model` in models/tagger, official files in download/, and what `typed` there left in runs/evaluate."""

    place: Path
    model: PreTrainedModel
    typed: tuple[str, ...]


def udpos(root: Path) -> None:
    """Short test sets of UD-POS, in the layout of the official ones."""
    for code in LANGUAGES:
        draw = random.Random(code)
        sentences = [[draw.choice(WORDS) for _ in range(draw.randint(1, 6))] for _ in range(20)]
        texts = ["\n".join(f"{word}\t{draw.choice(('NOUN', 'VERB'))}" for word in words) for words in sentences]
        (root / "udpos").mkdir(parents=True, exist_ok=True)
        (root / f"udpos/test-{code}.tsv").write_text("\n\n".join(texts) + "\n", encoding="utf-8")
