"""A run's adapter by itself: of LoRA with the head of a task as PEFT loads it onto transformers' class of the model below."""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

from xdist.data.adapters import INDEX, PEFT_CONFIG, adapter_in
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.export.card import on_words
from xdist.export.hugging_face import name_outputs
from xdist.files import read_json, write_json, write_text, written_folder
from xdist.model.adapters.files import PREFIX
from xdist.model.backbone import load_config
from xdist.model.exchange import names_in_transformers
from xdist.model.finetuned import CLASSES
from xdist.model.folder import read_heads, save_tokenizer
from xdist.model.lineage import FILE, Lineage, dump_lineage, without_paths
from xdist.tasks.catalog import Task
from xdist.tasks.family import family_of

# What PEFT calls the tasks of transformers' classes.
TASKS = {"classification": "SEQ_CLS", "tagging": "TOKEN_CLS", "span-qa": "QUESTION_ANS"}
# Files of a model folder that say what its adapter and its heads are, where they go as they are.
OURS = (INDEX, "bottleneck.safetensors", "heads.json", "heads.safetensors", "config.json")


def export_adapter(
    model: Path, below: str, scored: Task | None, out: Path, about: Callable[[str, str], str], lineage: Lineage
) -> str:
    """Write the adapter of the folder `model`, which belongs to the model that others know as `below`, as the folder `out`:
    LoRA in PEFT's format with the head of the task `scored`, a bottleneck adapter, for which there is no common format, as it
    is. Returns what it is. Raises UserError."""
    if out.exists():
        raise UserError(f"{out}: already exists; choose another folder")
    found = adapter_in(model)
    if found is None or found.empty:
        raise UserError(f"{model}: holds no adapter")
    config, tokenizer = load_config(str(model)), load_tokenizer(str(model))
    kind = "a LoRA adapter" if found.kind == "lora" else "a bottleneck adapter"
    auto = f"AutoModel{CLASSES.get(scored.family, '')}" if scored else "AutoModel"
    with written_folder(out) as folder:
        if found.kind == "lora":
            told = {**read_json(model / PEFT_CONFIG), "base_model_name_or_path": below}
            values = load_file(found.weights)
            if scored:
                if scored.family not in TASKS:
                    raise UserError(
                        f"head '{scored.head}': PEFT has no task for it; export the encoder's part alone (--head none)"
                    )
                name_outputs(config, scored)
                with torch.device("meta"):
                    theirs = getattr(transformers, auto).from_config(config)
                own = {
                    name.removeprefix(f"{scored.head}."): value
                    for name, value in read_heads(model).items()
                    if name.startswith(f"{scored.head}.")
                }
                names = names_in_transformers(type(theirs), config, family_of(scored), list(own))
                base = f"{theirs.base_model_prefix}."
                values = {f"{PREFIX}{base}{name.removeprefix(PREFIX)}": value for name, value in values.items()}
                values |= {f"{PREFIX}{names[name]}": value for name, value in own.items()}
                saved = sorted({there.partition(".")[0] for there in names.values()})
                told |= {"task_type": TASKS[scored.family], "modules_to_save": saved}
            write_json(folder / PEFT_CONFIG, told)
            save_file(values, folder / found.weights.name)
        else:
            for name in OURS:
                shutil.copyfile(model / name, folder / name)
        save_tokenizer(folder, tokenizer, config)
        write_text(folder / "README.md", about(kind, auto if found.kind == "lora" else "") + on_words(scored, tokenizer))
        write_json(folder / FILE, dump_lineage(without_paths(lineage)))
    return kind
