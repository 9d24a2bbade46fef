"""A checkpoint loaded into an engine and saved again, with no step between."""

from pathlib import Path

import torch
from distributed.cases import _training

from xdist.checkpoint import store
from xdist.checkpoint.resharding import read_saved
from xdist.private import WEIGHT
from xdist.run import distributed


def carried(path: str, overrides: list[str], source: str, target: str) -> list[str]:
    """Load the newest tag of the folder `source`, save it in `target`; names of parameters that the model computes with and
    that are not the saved ones in its precision."""
    made = _training(path, overrides)
    tag = store.find_checkpoint(Path(source))
    assert tag
    store.load_checkpoint(tag, made.engine, made.engine.stage)
    state = {"step": tag.step, "parameters": made.engine.names}
    assert not store.save_checkpoint(Path(target), made.engine, tag.step, made.engine.stage, 1, state)
    found, saved = made.engine.state(), read_saved(tag).parameters
    made.engine.close()
    if distributed.rank():
        return []
    return [name for name, one in saved.items() if not torch.equal(found[name], one.whole(WEIGHT).to(found[name].dtype))]
