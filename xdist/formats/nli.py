"""Natural language inference as its authors publish it, one JSON object a line: MultiNLI, SNLI, ANLI.

A pair on which the annotators did not agree has the label "-"; like everywhere in the literature it is left out.
"""

from collections.abc import Iterator
from pathlib import Path

from xdist.errors import UserError, unknown
from xdist.formats.examples import Classified
from xdist.formats.gold import with_uniform_gold
from xdist.formats.lines import field, read_jsonl

LABELS = ("contradiction", "entailment", "neutral")
NO_AGREEMENT = "-"
_ANLI = {"c": "contradiction", "e": "entailment", "n": "neutral"}


def read_multinli(path: Path, *, need_gold: bool = False) -> Iterator[Classified]:
    """MultiNLI 1.0 and SNLI 1.0: `sentence1`, `sentence2`, `gold_label`. Raises UserError: a missing field, another label, no
    label under `need_gold`."""
    return with_uniform_gold(
        _pairs(path, ("sentence1", "sentence2"), "gold_label", {label: label for label in LABELS}),
        need_gold,
        "field 'gold_label'",
    )


def read_anli(*paths: Path, need_gold: bool = False) -> Iterator[Classified]:
    """ANLI 1.0, its three rounds one after another: `context`, `hypothesis`, `label` e, n or c. Raises UserError as above."""
    rows = (row for path in paths for row in _pairs(path, ("context", "hypothesis"), "label", _ANLI))
    return with_uniform_gold(rows, need_gold, "field 'label'")


def _pairs(path: Path, texts: tuple[str, str], label: str, names: dict[str, str]) -> Iterator[tuple[str, Classified]]:
    for number, record in read_jsonl(path):
        where = f"{path}:{number}"
        name = field(record, label, str, where) if label in record else ""
        if name == NO_AGREEMENT:
            continue
        if name and name not in names:
            raise UserError(f"{where}: {unknown('label', name, names)}")
        first, second = (field(record, text, str, where).strip() for text in texts)
        yield where, Classified(texts=(first, second), label=names.get(name))
