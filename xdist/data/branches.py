"""What a model folder says of branches of its encoder, in branches.json: how many of the top layers exist once for each
language, and which languages. Needs no torch.

The branch of the first language is the encoder's own layers; the layers of the others are in the same files, below them:
`<layer>.branch_1.<parameter>` of the second language.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from xdist.errors import UserError
from xdist.files import read_json

INDEX = "branches.json"
_NAME = re.compile(r"(?:^|\.)branch_\d+\.")


@dataclass(frozen=True, slots=True)
class BranchIndex:
    layers: int
    languages: tuple[str, ...]


def branch_name(number: int) -> str:
    """The name of the branch of language `number`, from 1, below the layer of which it is a copy."""
    return f"branch_{number}"


def is_branch_weight(name: str) -> bool:
    """Whether a parameter of this name belongs to a branch other than the first."""
    return bool(_NAME.search(name))


def branches_in(place: str | Path) -> BranchIndex | None:
    """What a folder says of its branches; None for a folder, or a hub id, without. Raises UserError for a file that no user who
    writes it would write."""
    path = Path(place) / INDEX
    if not path.is_file():
        return None
    values = read_json(path)
    told = values if isinstance(values, dict) else {}
    layers, languages = told.get("layers"), told.get("languages")
    named = isinstance(languages, list) and bool(languages) and all(isinstance(code, str) for code in languages)
    if not isinstance(languages, list) or not named or not isinstance(layers, int) or layers < 1:
        raise UserError(f"{path}: is not what xdist writes for branches")
    return BranchIndex(layers, tuple(languages))
