"""What is refused of a run whose encoder reads dependency trees, before anything is started."""

from collections.abc import Callable, Sequence
from pathlib import Path

from xdist.config import Model
from xdist.config.method import Method
from xdist.config.reader import KeyPath
from xdist.config.syntax import Syntax
from xdist.data.subset import Subset
from xdist.data.syntax import differing_key, syntax_in
from xdist.data.trees import Trees
from xdist.errors import UserError
from xdist.files import file_digest
from xdist.model.kinds import KINDS

ErrorAt = Callable[[KeyPath, str], UserError]
KEY = ("model", "syntax")


def check_model(model: Model, place: str, kind: str | None, trains: bool, error: ErrorAt) -> None:
    """Raises UserError where the model at `place`, an encoder of this `kind`, and what is requested do not belong together."""
    there, asked = syntax_in(place), model.syntax if model.syntax and model.syntax.read else None
    if there and asked is None:
        raise error(KEY, f"{place}: reads dependency trees: give model.syntax, with the parses of all that is read")
    if asked is None:
        return
    if there is None and not trains:
        raise error(KEY, f"{place}: reads no dependency trees; leave model.syntax out")
    if there and (name := differing_key(asked, there)):
        raise error((*KEY, name), f"{place}: was trained with {name}: {getattr(there, name)}")
    if kind is not None and not KINDS[kind].keys_values:
        raise error(KEY, f"layers of encoders of type '{kind}' have no matrices for keys and values alone")


def check_methods(methods: Sequence[Method], error: ErrorAt) -> None:
    """Raises UserError for a method that puts texts into other words, whose trees are not known."""
    if name := next((method.name for method in methods if method.rewrites and not method.idle), None):
        raise error(KEY, f"method '{name}' puts texts into other words, which have no parses")


def check_subsets(trees: Trees, used: Sequence[Subset], root: Path, error: ErrorAt) -> None:
    """Raises UserError for a subset, or one text of it, without a parse."""
    for subset in dict.fromkeys(used):
        try:
            trees.check(subset, root)
        except UserError as wrong:
            raise error((*KEY, "parses"), str(wrong)) from None


def parses_of(section: Syntax | None, used: Sequence[Subset]) -> dict[str, str]:
    """By subset the digest of its parses, as far as they are there; nothing where no tree is read."""
    files = {
        str(subset): path
        for subset in (used if section and section.read else ())
        if section and (path := section.file(subset.task.name, subset.split, subset.language)) and path.is_file()
    }
    return {name: file_digest(path) for name, path in sorted(files.items())}
