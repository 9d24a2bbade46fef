"""The head that PEFT saved with a LoRA adapter (its `modules_to_save`), for a model that is given such a folder."""

from collections.abc import Sequence
from copy import deepcopy

import torch
import transformers
from torch import Tensor
from transformers import PretrainedConfig

from xdist.config import Model as ModelSection
from xdist.data.adapters import INDEX, AdapterFolder, adapter_in
from xdist.errors import UserError
from xdist.model.adapters.files import PREFIX, load_weights
from xdist.model.exchange import names_in_transformers
from xdist.model.finetuned import CLASSES
from xdist.model.folder import carry_heads
from xdist.model.model import Model
from xdist.tasks.family import Family


def carry_from_adapter(section: ModelSection, model: Model) -> list[str]:
    """Load into `model` the heads of the adapter of `section`, in the folder that it comes from; their names. Raises
    UserError as `carry_heads` and `peft_head` do."""
    if section.adapter is None or section.adapter.folder is None or (found := adapter_in(section.adapter.folder)) is None:
        return []
    if (found.folder / INDEX).is_file():
        return carry_heads(str(found.folder), model)[0]
    carried = []
    for name, head in model.heads.items():
        if weights := peft_head(found, model.families[name], model.encoder.config, section.labels):
            head.load_state_dict(weights)
            carried.append(name)
    return carried


def peft_head(
    found: AdapterFolder, family: Family, config: PretrainedConfig, labels: Sequence[str] | None
) -> dict[str, Tensor]:
    """The weights of a family's head, its outputs in the order of the task's labels, or nothing where the folder holds no head
    of this make. `labels` gives the label of each output, which PEFT does not. Raises UserError where it is not given, or they
    are not those of the task."""
    task = family.task
    if task.family not in CLASSES:
        return {}
    values = {name.removeprefix(PREFIX): value for name, value in load_weights(found).items() if ".lora_" not in name}
    config = deepcopy(config)
    config.num_labels = len(task.labels) or 2
    auto = getattr(transformers, f"AutoModel{CLASSES[task.family]}")
    try:
        with torch.device("meta"):  # no weights
            kind = type(auto.from_config(config))
        names = names_in_transformers(kind, config, family)
    except (ValueError, UserError):  # transformers has no such class, or its head is another one
        return {}
    if not names or not all(there in values for there in names.values()):
        return {}
    weights = {ours: values[there] for ours, there in names.items()}
    if not task.labels:
        return weights
    if labels is None or sorted(labels) != sorted(task.labels):
        said = "nothing says" if labels is None else f"model.labels ({', '.join(labels)}) does not say"
        raise UserError(
            f"{found.folder}: {said} which output of its head is which of {', '.join(task.labels)}: give model.labels=[…]"
        )
    order, last = [list(labels).index(label) for label in task.labels], list(names)[-1].rpartition(".")[0]
    return weights | {ours: value[order] for ours, value in weights.items() if ours.rpartition(".")[0] == last}
