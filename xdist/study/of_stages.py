"""Sections of a run that name models of earlier stages: the places of those models, and the keys of the runs that make them."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from xdist.config import Study, Train
from xdist.config.adapter import Adapter
from xdist.config.merge import Merge
from xdist.config.reader import KeyPath
from xdist.errors import UserError, unknown
from xdist.languages import code_among


def merged_models(
    study: Study, merge: Merge, stages: Mapping[str, str], found: Mapping[str, Any], error: Callable[[KeyPath, str], UserError]
) -> tuple[Merge, tuple[str, ...]]:
    """`merge` with the models of its stages in their place, and the keys of their runs. Raises what `error` makes of a key and
    a reason for a stage that is none before it, or leaves no model."""
    models, keys = [], []
    for number, ingredient in enumerate(merge.models):
        if ingredient.stage is not None:
            where = ("merge", "models", number, "stage")
            key, place = _of_stage(study, ingredient.stage, "to merge", stages, found, partial(error, where))
            keys.append(key)
            ingredient = ingredient.model_copy(update={"model": place, "stage": None})
        models.append(ingredient)
    return merge.model_copy(update={"models": tuple(models)}), tuple(keys)


def with_teachers(
    study: Study, train: Train, stages: Mapping[str, str], found: Mapping[str, Any]
) -> tuple[Train, tuple[str, ...]]:
    """`train` with its teachers in place, and the keys of the teachers' runs, where they are stages. Raises UserError for a
    stage that is none before this one, or leaves no model."""
    distil = train.distil
    if distil is None:
        return train, ()
    keys, changed = [], dict[str, Any]()
    if distil.stage is not None:
        error = partial(train.error, ("distil", "stage"))
        key, place = _of_stage(study, distil.stage, "to learn from", stages, found, error)
        keys, changed = [key], {"teacher": place, "stage": None}
    languages = dict(distil.languages)
    for code, teacher in distil.languages.items():
        if teacher.stage is not None:
            error = partial(train.error, ("distil", "languages", code, "stage"))
            key, place = _of_stage(study, teacher.stage, "to learn from", stages, found, error)
            keys.append(key)
            languages[code] = teacher.model_copy(update={"model": place, "stage": None})
    changed |= {"languages": languages}
    return (train.model_copy(update={"distil": distil.model_copy(update=changed)}) if keys else train), tuple(keys)


def language_adapters(
    study: Study,
    adapter: Adapter | None,
    stages: Mapping[str, str],
    found: Mapping[str, Any],
    error: Callable[[KeyPath, str], UserError],
) -> tuple[Adapter | None, dict[str, str]]:
    """The section `model.adapter` with the models of its stages in their place, and by language the keys of their runs. An
    earlier stage that is left out here leaves its language without an adapter. Raises UserError for one that is none."""
    if adapter is None:
        return None, {}
    languages, keys = {}, {}
    for code, language_adapter in adapter.languages.items():
        if language_adapter.stage is not None:
            where = ("model", "adapter", "languages", code, "stage")
            if language_adapter.stage not in study.stages:
                raise error(where, unknown("earlier stage", language_adapter.stage, stages))
            if language_adapter.stage not in stages:
                continue
            before = found[stages[language_adapter.stage]][1].run
            if before.train is None or before.model.adapter is None or before.model.adapter.kind != "bottleneck":
                raise error(where, f"'{language_adapter.stage}' trains no bottleneck adapter")
            keys[code] = stages[language_adapter.stage]
            language_adapter = language_adapter.model_copy(update={"model": str(before.folder / "model"), "stage": None})
        languages[code] = language_adapter
    fallback = code_among(tuple(adapter.languages), adapter.fallback or "")
    fallback = None if fallback and fallback not in languages else adapter.fallback
    return adapter.model_copy(update={"languages": languages, "fallback": fallback}), keys


def _of_stage(
    study: Study,
    name: str,
    purpose: str,
    stages: Mapping[str, str],
    found: Mapping[str, Any],
    error: Callable[[str], UserError],
) -> tuple[str, str]:
    """The key of a stage's run, and where its model will be. Raises what `error` makes of a reason for a stage that is none
    before this one, or leaves no model."""
    if name not in stages:
        left_out = f"'{name}' is not used here, so there is nothing of it {purpose}; remove this too"
        raise error(left_out if name in study.stages else unknown("earlier stage", name, stages))
    key = stages[name]
    if not found[key][1].run.makes_model:
        raise error(f"'{name}' is evaluated, it makes no model {purpose}")
    return key, str(found[key][1].run.folder / "model")
