"""What a study changes in the run files of its stages: from names of values to one valid Run."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from xdist.config import Run, Source, Study
from xdist.config.fitting import expand_path
from xdist.config.loading import put_value, read_yaml, validated
from xdist.config.reader import KeyPath
from xdist.config.study import RUN, file_or_sections
from xdist.errors import UserError

OPAQUE = "robust"  # replaced as a whole, since its keys belong to its method
OWNED = {"folder": "the study names its runs' folders", "name": "the study names its runs"}


class Descriptions:
    """The runs of a study's stages under given values of its axes; files are read once, equal runs made once."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._files: dict[Path, tuple[dict[str, Any], Source]] = {}
        self._made: dict[object, Run | None] = {}
        self._own = {stage: self._touching(stage) for stage in study.stages}

    def run(self, stage: str, values: Mapping[str, str], seed: int, force: bool = False) -> Run | None:
        """The run of `stage`, its folder and backbone not yet those of the study; None where it is left out, unless `force`d to
        say what it would be. Raises UserError that points at the line of the study or of the run file."""
        mine = tuple((axis, values[axis]) for axis in self._own[stage])
        key = (stage, mine, seed, force)
        if key not in self._made:
            self._made[key] = self._run(stage, mine, seed, force)
        return self._made[key]

    def _touching(self, stage: str) -> list[str]:
        return [axis for axis, values in self.study.axes.items() if any(stage in changes for changes in values.values())]

    def _run(self, stage: str, mine: tuple[tuple[str, str], ...], seed: int, force: bool) -> Run | None:
        study = self.study
        of_axes: list[tuple[KeyPath, dict[str, Any] | None]] = [
            (("axes", axis, value, stage), study.axes[axis][value].get(stage, {})) for axis, value in mine
        ]
        if any(change is None for _, change in of_axes) and not force:
            return None
        described: Any = study.stages[stage].run
        where: KeyPath = ("stages", stage, RUN)
        for key, change in of_axes:
            if change and RUN in change:
                described, where = file_or_sections(change[RUN]), (*key, RUN)
        if described is None:
            return None
        values, source = self._described(described, where)
        put_value(values, "name", stage, source, "")
        put_value(values, "folder", str(study.folder / stage), source, "")
        self._apply(values, source, ("all",), study.all, stage)
        put_value(values, "seed", seed, source, study.at(("seeds",)))
        for key, change in [(("stages", stage, "set"), study.stages[stage].set), *of_axes]:
            self._apply(values, source, key, change, stage)
        run = validated(Run, values, source)
        run.stands_in(source)
        return run

    def _apply(self, values: dict[str, Any], source: Source, key: KeyPath, change: dict[str, Any] | None, stage: str) -> None:
        for inner, name, value in _leaves(change or {}):
            text = self.study.at((*key, *inner))
            if name in OWNED:
                raise UserError(f"{text}: {OWNED[name]}")
            if name == "model.backbone" and self.study.stages[stage].after:
                raise UserError(f"{text}: '{stage}' begins with the model of '{self.study.stages[stage].after}'")
            put_value(values, name, deepcopy(value), source, text)

    def _described(self, described: Any, where: KeyPath) -> tuple[dict[str, Any], Source]:
        """A copy of the sections of a run file, or of those that are in the study itself."""
        study = self.study
        if isinstance(described, dict):
            depth = len(where)
            lines = {key[depth:]: line for key, line in study._source.lines.items() if key[:depth] == where}
            return deepcopy(described), Source(study.path, lines)
        if not isinstance(described, str):
            raise UserError(f"{study.at(where)}: expected the path of a run file, or the sections of a run")
        try:
            path = study.path.parent / expand_path(described)
        except ValueError as error:
            raise UserError(f"{study.at(where)}: {error}") from None
        if path not in self._files:
            if not path.is_file():
                raise UserError(f"{study.at(where)}: {path}: no such file")
            self._files[path] = read_yaml(path)
        values, source = self._files[path]
        return deepcopy(values), Source(path, dict(source.lines))


def _leaves(change: Mapping[str, Any], inner: KeyPath = (), name: str = "") -> Iterator[tuple[KeyPath, str, Any]]:
    """(path as it is in the change, dotted name in the run, value), mappings entered except for `robust`."""
    for key, value in change.items():
        if not inner and key == RUN:
            continue
        here = f"{name}.{key}" if name else str(key)
        if isinstance(value, dict) and value and here != OPAQUE and not here.startswith(f"{OPAQUE}."):
            yield from _leaves(value, (*inner, key), here)
        else:
            yield (*inner, key), here, value
