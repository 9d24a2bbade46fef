"""Who teaches which training subset, and whether they can."""

from collections.abc import Sequence
from pathlib import Path

from xdist.config import Model, Train
from xdist.config.distil import LanguageTeacher
from xdist.config.reader import KeyPath
from xdist.data.fetched import use_fetched_model
from xdist.data.heads import heads_in
from xdist.data.subset import Subset
from xdist.errors import unknown
from xdist.languages import same_language

TAUGHT = "classification"


def teachers_of(train: Train | None, subsets: Sequence[Subset], root: Path) -> tuple[Model | None, ...]:
    """Of each training subset the section of the model that it is learnt from, where one is; None of a stage of a study that
    has no place yet. Empty where there is no teacher. `root`: below which the copies of models of the hub are."""
    distil = train and train.distil
    if not distil or not distil.weight:
        return ()
    found: list[Model | None] = []
    for subset in subsets:
        own = _own_key(distil.languages, subset.language)
        place = distil.teacher if own is None else distil.languages[own].model
        taught = place is not None and subset.task.family == TAUGHT
        found.append(use_fetched_model(Model(backbone=place), root) if place is not None and taught else None)
    return tuple(found) if any(found) else ()


def check_stages(train: Train) -> None:
    """Raises UserError for a teacher that is a stage, which only a study has."""
    distil = train.distil
    if distil and distil.stage is not None:
        raise train.error(("distil", "stage"), "only a study has stages; give a teacher")
    for code, one in distil.languages.items() if distil else ():
        if one.stage is not None:
            raise train.error(("distil", "languages", code, "stage"), "only a study has stages; give a model")


def check_teachers(train: Train, subsets: Sequence[Subset], teachers: Sequence[Model | None], to_come: bool) -> None:
    """Raises UserError for teachers that cannot teach these subsets, and for a subset that has none. `to_come`: earlier runs
    will leave the models that are missing yet."""
    distil = train.distil
    if not distil or not distil.weight:
        return
    taught = [subset.task.family == TAUGHT for subset in subsets]
    if not any(taught):
        message = "no task of classification is trained, and only these are distilled"
        raise train.error(("distil", "languages" if distil.teacher is None else "teacher"), message)
    for code in distil.languages:
        if not any(same_language(code, subset.language) for subset in subsets):
            languages = dict.fromkeys(subset.language for subset in subsets)
            raise train.error(("distil", "languages", code), unknown("language that is trained on", code, languages))
    for subset, teacher in zip(subsets, teachers, strict=True):
        if subset.task.family != TAUGHT:
            continue
        own = _own_key(distil.languages, subset.language)
        key: KeyPath = ("distil", "teacher") if own is None else ("distil", "languages", own, "model")
        if teacher is None:
            raise train.error(("distil", "languages"), f"no teacher of '{subset.language}', which is trained on; give one")
        place = teacher.backbone
        if to_come and not Path(place).is_dir():
            continue
        heads = {name: entry["labels"] for name, entry in heads_in(Path(place)).items()}
        if list(heads.get(subset.task.head, ())) != list(subset.task.labels):
            there = ", ".join(heads) or "none"
            message = f"{place}: holds no head '{subset.task.head}' with the labels of '{subset.task.name}' (it has: {there})"
            raise train.error(key, message)


def _own_key(languages: dict[str, LanguageTeacher], code: str) -> str | None:
    """The key of the teacher of a language."""
    return next((one for one in languages if same_language(one, code)), None)
