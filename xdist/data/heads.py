"""Which heads a model folder holds: heads.json gives the family, the task and the labels of each by its name."""

from pathlib import Path
from typing import Any

from xdist.errors import UserError
from xdist.files import read_json

HEADS_INDEX = "heads.json"


def heads_in(folder: Path) -> dict[str, dict[str, Any]]:
    """Family, task and labels by the name of the head; empty where `folder` has none. Raises UserError for a file that xdist
    did not write."""
    path = folder / HEADS_INDEX
    if not path.is_file():
        return {}
    try:
        index = read_json(path)
        return {name: {key: entry[key] for key in ("family", "task", "labels")} for name, entry in index.items()}
    except (UserError, TypeError, KeyError, AttributeError):
        raise UserError(f"{path}: is not what xdist writes for the heads of a model") from None
