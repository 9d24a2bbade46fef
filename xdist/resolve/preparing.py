"""The prepared sets of a resolved run. Without torch's model code, which takes seconds to import."""

from xdist.data.prepare import Preparation
from xdist.data.tokenizer import load_tokenizer
from xdist.data.trees import Trees
from xdist.model.backbone import check_tokenizer, load_config
from xdist.resolve.facts import Purpose
from xdist.resolve.resolved import Resolved


def preparation_of(resolved: Resolved, work: Purpose = "prepare") -> Preparation:
    """Of what `work` reads, made or not. Raises UserError for a tokenizer that does not fit the encoder."""
    backbone = resolved.model.backbone
    tokenizer = load_tokenizer(backbone)
    check_tokenizer(backbone, load_config(backbone), tokenizer)
    return Preparation(resolved.read(work), resolved.run.data, tokenizer, Trees.of(resolved.run.model.syntax))
