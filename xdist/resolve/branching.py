"""Whether an encoder can have the branches that a run requests."""

from collections.abc import Sequence

from xdist.config import Model
from xdist.config.method import Method
from xdist.data.branches import BranchIndex, branches_in
from xdist.data.subset import Subset
from xdist.errors import UserError, unknown
from xdist.languages import same_language
from xdist.resolve.encoder import Encoder


def with_languages(section: Model, subsets: Sequence[Subset]) -> Model:
    """`section` with the languages that have a branch, where it leaves them open: those of the training `subsets`."""
    branches = section.branches
    if branches is None or branches.languages is not None or not subsets:
        return section
    codes: list[str] = []
    for language in _trained(subsets):
        if not any(same_language(code, language) for code in codes):
            codes.append(language)
    return section.model_copy(update={"branches": branches.model_copy(update={"languages": tuple(codes)})})


def index_of(section: Model) -> BranchIndex | None:
    """The branches of the encoder that `section`, with its languages filled in, trains; None without."""
    branches = section.branches
    if branches is not None and branches.languages:
        return BranchIndex(branches.layers, branches.languages)
    return branches_in(section.backbone)


def check_branches(section: Model, encoder: Encoder, subsets: Sequence[Subset]) -> None:
    """Raises UserError for branches that this encoder, or a training on `subsets`, cannot have."""
    there = branches_in(section.backbone)
    if section.branches is not None and there:
        message = f"{section.backbone} has branches already ({', '.join(there.languages)}); leave this out"
        raise section.error(("branches",), message)
    if section.adapter is not None and there:
        raise section.error(("adapter",), f"{section.backbone} has branches, with which there can be no adapter")
    if section.syntax is not None and there:
        raise section.error(("syntax",), f"{section.backbone} has branches; trees are read by layers that all languages share")
    if section.branches is not None:
        _check_layers(section, encoder)
    if (index := index_of(section)) is None:
        return
    for subset in subsets:
        if subset.task.mixes(subset.language):
            raise UserError(f"model.branches: '{subset.task.name}' holds two languages in a row, which no branch reads")
        for language in subset.task.written_in(subset.language):
            if not any(same_language(code, language) for code in index.languages):
                message = unknown("language with a branch", language, index.languages)
                raise UserError(f"model.branches.languages: {subset} is trained on: {message}")
    trained = _trained(subsets)
    for code in index.languages if section.branches is not None else ():
        if not any(same_language(code, language) for language in trained):
            raise section.error(("branches", "languages"), unknown("language that is trained on", code, trained))


def _trained(subsets: Sequence[Subset]) -> tuple[str, ...]:
    """The languages whose text they have, each once."""
    return tuple(dict.fromkeys(code for one in subsets for code in one.task.written_in(one.language)))


def _check_layers(section: Model, encoder: Encoder) -> None:
    branches, kind = section.branches, encoder.described
    assert branches is not None
    if not kind.layers:
        raise section.error(
            ("branches",), f"it is not known how the top layers of encoders of type '{encoder.kind}' are run alone"
        )
    if branches.layers >= encoder.layers:
        raise section.error(("branches", "layers"), f"of {encoder.layers} layers at most {encoder.layers - 1} can be branches")
    if section.frozen_layers > encoder.layers - branches.layers:
        shared = encoder.layers - branches.layers
        message = (
            f"{section.frozen_layers} layers stay as they are, and {shared} are shared: branches that do not change are one"
        )
        raise section.error(("branches", "layers"), message)


def check_methods(section: Model, methods: Sequence[Method]) -> None:
    """Raises UserError for a method of branches where there are none."""
    for method in methods:
        if method.of_branches and index_of(section) is None:
            raise UserError(f"robust.method: '{method.method}' mixes branches, and there are none; give model.branches")
