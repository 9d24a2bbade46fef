"""Write docs/encoders.md: the table of encoder types, from the descriptions that the admission test holds against transformers.

python docs/make_encoders.py
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from xdist.model.kinds import KINDS, REFUSED, EncoderKind

PLACE = Path(__file__).with_name("encoders.md")
# Families whose head transformers has no class for, or one that computes something else (tests/unit/test_finetuned.py).
NO_CLASS = {"eurobert": ("multiple-choice", "span-qa"), "xlm": ("multiple-choice", "span-qa")}
FAMILIES = ("classification", "multiple-choice", "tagging", "span-qa")
MODELS = {
    "xlm-roberta": "XLM-R, XLM-V, Glot500-m, InfoXLM",
    "xlm-roberta-xl": "XLM-R XL, XXL",
    "roberta": "RoBERTa",
    "camembert": "CamemBERT",
    "bert": "mBERT",
    "electra": "ELECTRA",
    "modernbert": "mmBERT, ModernBERT",
    "eurobert": "EuroBERT",
    "deberta-v2": "mDeBERTa-v3",
    "rembert": "RemBERT",
    "distilbert": "DistilmBERT",
    "albert": "ALBERT",
    "xlm": "XLM-15, XLM-17, XLM-100",
}
HEAD = """# Encoders

Written by `docs/make_encoders.py`. What it says of a type is held against transformers' own classes by the admission test
(`tests/unit/test_admission*.py`), on small random encoders: the hidden states of every layer, packed and padded, to 1e-5; where
each perturbation enters; every dropout; the language head; exported logits; layers that are computed again. **Real weights were
not at hand when this was written: no published checkpoint was loaded here.**

"""
NOTES = """
- **packed**: sequences go without padding; others are padded inside the encoder alone.
- **order**: learned positions from 0, from the padding's id + 1, by rotation, or by distance alone.
- **embedding**: the module whose output `place: embedding` shifts.
- **layer k alone**: whether sentence vectors of a lower layer are had without running the layers above.
- **again**: whether `model.gradient_checkpointing` works; where it does not, `true` is refused and `auto` leaves it.
- **language head**: what it has in addition to the product with the embedding, and whether it has its own matrix instead.
- **exports**: task families whose head transformers has a class for that computes the same; a model with another head leaves
  as an encoder alone (`--head none`). Heads are pooled as the checkpoint's `classifier_pooling` says.

"""


def page() -> str:
    header = (
        "type",
        "encoders",
        "packed",
        "order",
        "embedding",
        "layer k alone",
        "dropout",
        "again",
        "language head",
        "exports",
    )
    rows = [_row(name, kind) for name, kind in KINDS.items()]
    refused: dict[str, list[str]] = {}
    for name, reason in REFUSED.items():
        refused.setdefault(reason, []).append(name)
    lines = [f"- {', '.join(f'`{name}`' for name in names)}: {reason}" for reason, names in refused.items()]
    told = [f"- `{name}`: no {family}: {why}" for name, kind in KINDS.items() for family, why in kind.without.items()]
    return "".join(
        [
            HEAD,
            *_table(header, rows),
            NOTES,
            "\n".join(told),
            "\n\n## Refused\n\nIn one line before anything starts, as is every type that is not in the table.\n\n",
            "\n".join(lines) + "\n",
        ]
    )


def exports(name: str) -> list[str]:
    """The families whose heads `xdist export` writes on this type; a test exports each."""
    return [family for family in FAMILIES if family not in NO_CLASS.get(name, ())]


def _row(name: str, kind: EncoderKind) -> tuple[str, ...]:
    form = kind.language_heads[0]
    parts = [part for part, there in (("dense", form.dense), ("norm", form.norm), ("bias", form.bias)) if there]
    language = " + ".join(parts) or "nothing"
    return (
        f"`{name}`",
        MODELS[name],
        "yes" if kind.packs else "no",
        kind.positions,
        f"`{kind.embedded}`",
        "yes" if kind.layers or kind.counter else "no",
        ", ".join(f"`{key}`" for key in kind.dropouts),
        "yes" if kind.checkpointing else "no",
        language + ("" if form.tied else "; own matrix unless tied"),
        "all" if exports(name) == list(FAMILIES) else ", ".join(exports(name)),
    )


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |\n|{'---|' * len(list(header))}\n"
    for row in rows:
        yield f"| {' | '.join(row)} |\n"


if __name__ == "__main__":
    PLACE.write_text(page(), encoding="utf-8")
