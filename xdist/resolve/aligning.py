"""`xdist align`: maps fitted in this process on a model folder, without a run."""

from collections.abc import Sequence
from pathlib import Path

import torch

from xdist.config import Data
from xdist.config import Model as ModelSection
from xdist.config.align import Align
from xdist.data.fetched import model_digest, use_fetched_model
from xdist.data.prepare import Preparation
from xdist.data.subset import Subset
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.evaluation import fitting
from xdist.evaluation.fitting import Ranks
from xdist.evaluation.queue import TOKENS, TOKENS_ELSEWHERE
from xdist.files import Digests
from xdist.model.alignment import Alignment
from xdist.model.encoder import load_encoder
from xdist.model.model import Model
from xdist.robust.word_links import make_linker, word_files
from xdist.run import distributed
from xdist.tasks.catalog import task as task_called
from xdist.tasks.catalog.retrieval import sentence_layer


def align(place: str, out: Path, languages: Sequence[str], root: Path, cache: Path, section: Align) -> Alignment:
    """Fit as `section` says, on its one task in these languages, write into `out`, and give back. Raises UserError for what is
    no parallel text, no such file or no such layer."""
    name, layer = section.tasks[0].task, section.layer
    entry = task_called(name)
    if entry.family != "parallel":
        raise UserError(f"task '{name}' is no parallel text ({entry.family})")
    subsets = [Subset(entry, "train", entry.own(code)) for code in languages]
    if not subsets:
        raise UserError("--languages: names none")
    folder = use_fetched_model(ModelSection(backbone=place), root)
    tokenizer = load_tokenizer(folder.backbone)
    words = word_files(section, [subset.language for subset in subsets])
    links = make_linker(section, tokenizer, words)
    preparation = Preparation(subsets, Data(root=root, cache=cache), tokenizer)
    preparation.make_missing()
    model = Model(load_encoder(folder, tokenizer, torch.float32), {}, 0).eval().to(distributed.device())
    layer = layer or sentence_layer(model.encoder.config.num_hidden_layers)
    device = distributed.device().type
    budget = TOKENS.get(device, TOKENS_ELSEWHERE)
    found = fitting.fit_maps(model, preparation, subsets, section.method, layer, budget, Ranks(), links)
    made = fitting.maps_digest_of(model_digest(folder.backbone, Digests()), section, subsets, preparation, layer, words)
    facts = {"method": section.method, "made_of": made, "model": place, "fitted_on": fitting.file_digests(subsets, root)}
    fitting.write_alignment(out, found, facts)
    return found
