"""The head of a model that was fine-tuned elsewhere, or exported, by its config.json. Needs no torch."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xdist.errors import UserError
from xdist.files import read_json
from xdist.tasks.catalog import Task

# What the name of a family's class in transformers holds; XLM's own continues after it.
CLASSES = {
    "classification": "ForSequenceClassification",
    "multiple-choice": "ForMultipleChoice",
    "tagging": "ForTokenClassification",
    "span-qa": "ForQuestionAnswering",
}


@dataclass(frozen=True, slots=True)
class Finetuned:
    """`kind` is the model's class in transformers, `labels` what its config.json calls each output of the head, if anything."""

    folder: Path
    kind: str
    family: str
    labels: tuple[str, ...]

    def order(self, task: Task, given: Sequence[str] | None = None) -> list[int] | None:
        """Which output of the head stands for each label of the task; None for a family without labels. `given` says what the
        outputs stand for, else `labels` do. Raises UserError for a task of another family or with other labels."""
        if task.family != self.family:
            raise UserError(f"{self.folder}: the head of {self.kind} does not fit '{task.name}' ({task.family})")
        if not task.labels:
            if given is not None:
                raise UserError(f"model.labels: the head of {self.kind} in {self.folder} has no labels; leave it out")
            return None
        outputs = list(self.labels if given is None else given)
        if sorted(outputs) != sorted(task.labels):
            where = f"{self.folder / 'config.json'}: id2label" if given is None else "model.labels"
            raise UserError(
                f"{where} names {', '.join(outputs) or 'nothing'}; the labels of '{task.name}' are {', '.join(task.labels)}: "
                "say which output is which, in their order: model.labels=[…]"
            )
        return [outputs.index(label) for label in task.labels]


def read_finetuned(backbone: str) -> Finetuned | None:
    """What the model of a folder, or of a hub id that is in the hub's cache, was fine-tuned for; None for an encoder alone and
    for a folder that xdist trained, which records it in its own file."""
    folder = _folder(backbone)
    if folder is None:
        return None
    try:
        config = read_json(folder / "config.json")
        kind, names = config["architectures"][0], config.get("id2label")
        family = next(family for family, part in CLASSES.items() if re.search(rf"{part}(Simple)?$", kind))
    except (OSError, UserError, LookupError, TypeError, AttributeError, StopIteration):
        return None  # no such head; and what is no model at all is said where it is loaded
    return Finetuned(folder, kind, family, _labels(names))


def _labels(names: object) -> tuple[str, ...]:
    """The names of outputs 0, 1, …; none where these are not the keys."""
    if not isinstance(names, dict) or set(names) != {str(number) for number in range(len(names))}:
        return ()
    return tuple(str(names[str(number)]) for number in range(len(names)))


def _folder(backbone: str) -> Path | None:
    if Path(backbone).is_dir():
        return Path(backbone)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(backbone, "config.json")
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None
