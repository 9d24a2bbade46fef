"""What a model folder says of the reader of trees that its encoder has. Needs no torch.

syntax.json          of a section `model.syntax` all that says what the encoder computes
syntax.safetensors   the weights of tags, graph attention, what is added to keys and values, and probes
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xdist.config.syntax import Syntax
from xdist.errors import UserError
from xdist.files import read_json

INDEX, WEIGHTS = "syntax.json", "syntax.safetensors"
# Of a section what the encoder computes by; the others say how it is trained, and where parses are.
SAYS = ("kind", "strength", "distance", "layers", "heads", "width", "joined", "rank")


def describe_syntax(section: Syntax) -> dict[str, Any]:
    """What syntax.json says of it."""
    return {name: getattr(section, name) for name in SAYS}


def syntax_in(place: str | Path) -> Syntax | None:
    """The reader of trees of a model folder, with no parses; None for a folder, or a hub id, that has none. Raises UserError
    for a file that xdist did not write."""
    path = Path(place) / INDEX
    if not path.is_file():
        return None
    try:
        values = read_json(path)
        return Syntax(parses={"": ""}, **{name: values[name] for name in SAYS})
    except (ValidationError, LookupError, TypeError):
        raise UserError(f"{path}: is not what xdist writes in addition to an encoder that reads trees") from None


def differing_key(asked: Syntax, there: Syntax) -> str | None:
    """The first key in which what is requested is not what a folder has."""
    return next((name for name in SAYS if getattr(asked, name) != getattr(there, name)), None)
