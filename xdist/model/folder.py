"""A trained model as a folder: a Hugging Face encoder with its tokenizer, and the heads.

`heads.json` says which task each head belongs to; `heads.safetensors` holds their weights under `<head>.<parameter>`.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from xdist.data.heads import HEADS_INDEX, heads_in
from xdist.errors import UserError
from xdist.files import read_json, write_json, written_folder
from xdist.model import branches
from xdist.model.adapters import attached, files, held
from xdist.model.backbone import separator
from xdist.model.encoder import check_finite
from xdist.model.exchange import head_weights
from xdist.model.finetuned import read_finetuned
from xdist.model.heads import in_saved_form
from xdist.model.model import Model
from xdist.model.syntax.files import write_reader
from xdist.tasks.catalog import Task
from xdist.tasks.family import family_of

HEADS = "heads.safetensors"
SEGMENTS = "token_type_ids"


def save_model(
    folder: Path,
    model: Model,
    state: dict[str, Tensor],
    tokenizer: PreTrainedTokenizerBase,
    facts: Mapping[str, object] | None = None,
) -> None:
    """Write `state` (all parameters that are saved, on the CPU) as a model folder with `facts` as JSON files by name; an older
    one is replaced when all is written. Of a model whose adapter was trained that is the adapter, not the model below it."""
    encoder: PreTrainedModel = model.encoder
    encoder_state = {name.removeprefix("encoder."): value for name, value in state.items() if name.startswith("encoder.")}
    head_state = {name.removeprefix("heads."): value for name, value in state.items() if name.startswith("heads.")}
    with written_folder(folder) as temporary:
        own = held.trained_of(encoder)
        if model.stands_on and own:
            _save_config(temporary, encoder)
            files.write_adapter(temporary, own, encoder_state, encoder, *model.stands_on)
        else:
            # Under the names of the module: loaded at ZeRO 3, transformers would give norms the names of old checkpoints again.
            encoder_state = attached.merge_lora(encoder, write_reader(temporary, encoder, encoder_state))
            encoder.save_pretrained(temporary, state_dict=encoder_state, save_original_format=False)
            branches.write_branches(encoder, temporary)
        save_tokenizer(temporary, tokenizer, encoder.config)
        save_file({name: value.contiguous() for name, value in head_state.items()}, temporary / HEADS)
        index = {
            name: {"family": family.task.family, "task": family.task.name, "labels": list(family.task.labels)}
            for name, family in model.families.items()
        }
        write_json(temporary / HEADS_INDEX, index)
        for name, fact in (facts or {}).items():
            write_json(temporary / name, fact)


def _save_config(folder: Path, encoder: PreTrainedModel) -> None:
    config = deepcopy(encoder.config)
    config.architectures = [type(encoder).__name__]
    config.save_pretrained(folder)


def save_tokenizer(folder: Path, tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> None:
    """Write the tokenizer of an encoder of this configuration. Where the encoder is called with segment ids, the tokenizer that
    is loaded from `folder` gives them unasked: transformers' classes of some kinds (ALBERT, RemBERT) do not."""
    tokenizer.save_pretrained(folder)
    names = tokenizer.model_input_names
    if separator(config, tokenizer) and SEGMENTS not in names:
        file = folder / "tokenizer_config.json"
        write_json(file, {**read_json(file), "model_input_names": [*names, SEGMENTS]})


def carry_heads(
    backbone: str, model: Model, labels: Sequence[str] | None = None, needed: bool = False
) -> tuple[list[str], list[str]]:
    """Load into `model` the heads that the folder `backbone` holds: of a model that xdist trained those of the same name,
    family and labels; the head of one that was fine-tuned elsewhere, or exported, into every head of its family and labels.
    `labels` says which label each of its outputs stands for, where its config.json does not.

    Returns the names carried and the names that were dropped. A backbone without heads gives two empty lists. Raises UserError
    for a head that cannot be loaded; with `needed` or `labels` also where one from elsewhere is not of the model's tasks.
    """
    index = heads_in(Path(backbone))
    if not index:
        return _carry_finetuned(backbone, model, labels, needed)
    weights = read_heads(Path(backbone))
    carried, dropped = [], []
    for name, entry in index.items():
        family = model.families.get(name)
        if family is None or entry["family"] != family.task.family or entry["labels"] != list(family.task.labels):
            dropped.append(name)
            continue
        own = {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}
        found = in_saved_form(model.heads[name], family, model.encoder.config, own)
        model.heads[name] = found.to(model.encoder.dtype).train(model.training)
        try:
            missing, superfluous = model.heads[name].load_state_dict(own, strict=False)
            tied = getattr(model.heads[name], "tied", ())  # belong to the encoder, and came with it
            if odd := [*superfluous, *(key for key in missing if key not in tied)]:
                raise RuntimeError(f"'{odd[0]}' is missing or superfluous")
        except RuntimeError as error:
            raise UserError(
                f"{Path(backbone) / HEADS}: head '{name}' does not fit: {str(error).splitlines()[-1].strip()}"
            ) from None
        carried.append(name)
    return carried, dropped


def read_heads(folder: Path) -> dict[str, Tensor]:
    """The weights of all heads by `<head>.<parameter>`. Raises UserError for a file that is none, and for weights that are not
    finite."""
    file = folder / HEADS
    try:
        weights = load_file(file)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{file}: cannot be read: {str(error).strip().splitlines()[0]}") from None
    check_finite(file, weights)
    return weights


def check_finetuned(backbone: str, tasks: Iterable[Task], labels: Sequence[str] | None = None) -> None:
    """Raises the UserError that `carry_heads` would, of heads that are needed, for a model that was fine-tuned elsewhere."""
    found = read_finetuned(backbone)
    if found is None and labels is not None:
        raise _no_labels(backbone)
    for family in map(family_of, tasks if found else ()):
        if found and _is_trained(family.head(8, 0.0)):
            head_weights(found, family, labels)


def _carry_finetuned(backbone: str, model: Model, labels: Sequence[str] | None, needed: bool) -> tuple[list[str], list[str]]:
    found = read_finetuned(backbone)
    if found is None:
        if labels is not None:
            raise _no_labels(backbone)
        return [], []
    carried: list[str] = []
    wrong: UserError | None = None
    for name in (name for name, head in model.heads.items() if _is_trained(head)):
        try:
            own = head_weights(found, model.families[name], labels)
            check_finite(found.folder, own)
            model.heads[name].load_state_dict(own)
            carried.append(name)
        except UserError as error:
            wrong = wrong or error
    if wrong and (needed or (labels is not None and not carried)):
        raise wrong
    return carried, [] if carried else [found.kind]


def _is_trained(head: nn.Module) -> bool:
    return any(True for _ in head.parameters())


def _no_labels(backbone: str) -> UserError:
    return UserError(f"model.labels: {backbone} holds no head that was fine-tuned elsewhere; leave it out")
