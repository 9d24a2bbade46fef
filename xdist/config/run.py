"""One run: one training and/or evaluation, described by one YAML.

Sections `model`, `train`, `robust` and the seed say what is trained: they are the run's identity, with the fingerprints of the
data. `runtime` says how, and changes nothing but speed and memory; `evaluate` may grow after training: both may differ when a
started run resumes. Each section has its own file in this folder.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from xdist import plugins
from xdist.config.align import Align
from xdist.config.data import Data
from xdist.config.evaluate import Evaluate
from xdist.config.loading import Reading, load
from xdist.config.merge import Merge
from xdist.config.method import METHODS, Method
from xdist.config.model import Model
from xdist.config.plugin import Plugin
from xdist.config.robust import NotHere, Off, Robust, in_order
from xdist.config.runtime import Runtime
from xdist.config.section import Section
from xdist.config.train import Train
from xdist.errors import UserError
from xdist.files import digest

IDENTITY = {"seed", "model", "train", "robust", "merge"}
Seed = Annotated[int, Field(ge=-(10**18), le=10**18)]
LONGEST_NAME = 240  # folders and links are named by it
RECORD = "config.yaml"  # the name under which xdist itself writes a run down


class Run(Section):
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._+/-]*$",
        max_length=LONGEST_NAME,
        description="what the run is called in tables and reports",
    )
    folder: Path = Field(description="the run folder, where all of it is kept")
    seed: Seed = Field(1, description="of heads, order of rows, dropout and noise")
    plugins: tuple[Plugin, ...] = Field(
        (),
        description="plugins with your own tasks, families, metrics, methods and sinks: files (*.py), installed "
        "distributions or modules; with a digest behind it (name@digest) one is refused when its code has changed",
    )
    model: Model
    data: Data
    train: Train | None = None
    robust: Robust = Field(Off(), description="one method or a list of them, in their order; {method: none}: plain training")
    merge: Merge | None = Field(
        None,
        exclude_if=lambda merge: merge is None,
        description="instead of training: `model.backbone` with weights of other models, made before the evaluation",
    )
    evaluate: Evaluate | None = None
    align: Align | None = Field(
        None, exclude_if=lambda align: align is None, description="with `evaluate`: languages mapped to English before"
    )
    runtime: Runtime = Runtime()

    @model_validator(mode="after")
    def _does_something(self) -> "Run":
        if self.train is None and self.evaluate is None:
            raise ValueError("a run trains or evaluates: give 'train', 'evaluate' or both")
        if self.train is not None and self.merge is not None:
            raise ValueError("a run trains or merges, not both: give 'train' or 'merge'")
        if self.align is not None and self.evaluate is None:
            raise ValueError("maps are for evaluation: give 'evaluate' as well as 'align'")
        return self

    @model_validator(mode="after")
    def _names_every_plugin(self) -> "Run":
        """Where a method comes from that the description does not name, as what a distribution offers, is named too, so that
        ranks have the same."""
        for method in self.methods:
            if isinstance(method, NotHere):
                continue
            try:
                entry = METHODS.plugin(method.name)
            except UserError as error:
                raise ValueError(f"robust: method '{method.name}' comes from {error}") from None
            if entry and plugins.digest_in(entry) not in self.plugin_digests:
                self.__dict__["plugins"] = (*self.plugins, entry)  # frozen once it is made, which it is not yet
        return self

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods of `robust` in their order; empty where training is plain."""
        return in_order(self.robust)

    @property
    def makes_model(self) -> bool:
        """Whether it makes a model in its folder: by training or by merging."""
        return self.train is not None or self.merge is not None

    @property
    def method_files(self) -> list[Path]:
        """The files that the methods of `robust` read."""
        return [path for method in self.methods for path in method.files()]

    def check_method_files(self) -> None:
        """Raises UserError for one that is missing, or is not what it should be."""
        for number, method in enumerate(self.robust if isinstance(self.robust, tuple) else (self.robust,)):
            try:
                method.check()
            except UserError as error:
                raise self.error(("robust", number) if isinstance(self.robust, tuple) else ("robust",), str(error)) from None

    @property
    def plugin_digests(self) -> list[str]:
        """Of the code of its plugins, independent of its path."""
        return [plugins.digest_in(entry) for entry in self.plugins]

    @property
    def identity(self) -> str:
        """16 digits that depend on what is trained, not on how, where or under which name."""
        # What an encoder has read groups the languages of reports, and changes nothing of what is trained.
        described = self.model_dump(mode="json", include=IDENTITY, exclude={"model": {"pretraining"}})
        return digest(described, self.plugin_digests, *([self.data.block] if self.data.block != 1 else []))

    def dump(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def given(self) -> dict[str, Any]:
        """What is not at its default."""
        return self.model_dump(mode="json", exclude_defaults=True)


def load_run(path: Path, overrides: Sequence[str] = ()) -> Run:
    """The run described at `path`, its plugins imported. Raises UserError with file, line and key of the first error."""
    return _read(path, overrides, Reading(earlier=path.name == RECORD))


def recorded_run(path: Path) -> Run:
    """The run of a folder's config.yaml, which others may have written: nothing that it names is imported, and a method that is
    not of this package has its options as they are written there. Raises UserError as `load_run` does, and for what is no file,
    such as a named pipe, which would keep its reader waiting."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is no file")
    return _read(path, (), Reading(earlier=True, imports=False))


def _read(path: Path, overrides: Sequence[str], reading: Reading) -> Run:
    run, source = load(Run, path, overrides, reading)
    run.stands_in(source)
    return run
