"""A run is a folder: what was requested, what came out, and how it ended.

config.yaml  data.json  deepspeed.json  environment.json  metrics.jsonl  tensorboard/  checkpoints/<tag>/  model/
best/    the best model so far, where `train.select` chooses one; it becomes model/
alignment/    maps of languages to English, where it has a section `align`
predictions/<task>/test-<language>.<ext>  scores.json    what was predicted and scored, and of what it was made
finished | unfinished | failed    a mark each, since launchers garble exit codes
stop    put there to end a run early; gone when the run has ended, however it ended
xdist.log    what its ranks said, where they were started on this machine; `xdist logs` shows it
"""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from xdist.config import Run, recorded_run
from xdist.config.run import IDENTITY, RECORD
from xdist.config.runtime import AUTO, Precision
from xdist.errors import UserError, writing
from xdist.files import clear, write_json, write_text, write_yaml
from xdist.run.ds_config import DeepSpeed
from xdist.run.lock import RunLock
from xdist.run.recorded import MAPPING, TEXTS, recorded_json
from xdist.version import __version__

RunState = Literal["new", "running", "finished", "unfinished", "failed"]
MARKS: tuple[RunState, ...] = ("finished", "failed", "unfinished")
USER_ERROR = "user error: "
NOT_KEPT = "its model was not kept once it was scored (runtime.keep_finished)"  # in the mark `finished`
PACKAGES = ("torch", "deepspeed", "transformers", "tokenizers", "datasets", "sentencepiece", "numpy", "pyarrow")


class RunFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / RECORD
        self.environment = path / "environment.json"
        self.data = path / "data.json"
        self.deepspeed = path / "deepspeed.json"
        self.metrics = path / "metrics.jsonl"
        self.tensorboard = path / "tensorboard"
        self.checkpoints = path / "checkpoints"
        self.model = path / "model"
        self.best = path / "best"
        self.predictions = path / "predictions"
        self.digests = self.predictions / ".digests.json"  # of files that predictions were made of, so that each is read once
        self.kept = path / ".kept"  # predictions of a task whose evaluation was stopped half-way
        self.scores = path / "scores.json"
        self.alignment = path / "alignment"  # maps of languages to English, fitted on the model
        self.stop = path / "stop"
        self.log = path / "xdist.log"

    @property
    def state(self) -> RunState:
        for mark in MARKS:
            if (self.path / mark).exists():
                return mark
        return "running" if self.config.exists() else "new"

    def mark(self, state: RunState, text: str = "") -> None:
        """Leave one mark and remove the others; `running` leaves none. With an end a request to stop is answered."""
        if state in MARKS:
            self.stop.unlink(missing_ok=True)
            write_text(self.path / state, text + "\n" if text else "")
        for mark in MARKS:
            if mark != state:
                (self.path / mark).unlink(missing_ok=True)

    @property
    def user_error(self) -> bool:
        """Whether it failed by what the user gave, so that trying again cannot help."""
        return self.state == "failed" and self.reason().startswith(USER_ERROR)

    def reason(self) -> str:
        """What is in the mark."""
        mark = self.path / self.state
        return mark.read_text(encoding="utf-8", errors="replace").strip() if self.state in MARKS and mark.is_file() else ""

    @property
    def model_not_kept(self) -> bool:
        """Whether it had a model when it was finished, which was removed."""
        return self.state == "finished" and self.reason() == NOT_KEPT and not self.model.is_dir()

    def check(self, run: Run) -> None:
        """Raises UserError when the folder holds a run of another configuration, naming the first key that differs."""
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path}: is a file, not a run folder; choose another one (folder=…)")
        if not self.config.exists():  # a run folder begins with its config: before it there are only the lock, files that were
            # being written when a start was killed, which are hidden as well, the log, and perhaps a request to stop
            entries = self.path.iterdir() if self.path.is_dir() else ()
            if any(entry not in (self.stop, self.log) and not entry.name.startswith(".") for entry in entries):
                raise UserError(f"{self.path}: is not a run folder and not empty; choose another one (folder=…)")
            return
        if not self.config.is_file():  # a named pipe would keep its reader waiting
            raise UserError(f"{self.config}: is no file, so {self.path} is no run folder; choose another one (folder=…)")
        recorded = recorded_run(self.config)
        if recorded.identity != run.identity:
            before, now = ({**described.dump(), "data": {"block": described.data.block}} for described in (recorded, run))
            key, old, new = _difference(before, now)
            raise UserError(
                f"{self.config}: this folder holds another run: {key} was {old}, is {new}; "
                "choose another folder (folder=…) or remove this one"
            )

    def check_data(self, fingerprints: dict[str, str]) -> None:
        """Raises UserError when the run was started on other training data."""
        if self.data.exists():
            for subset, fingerprint in recorded_json(self.data, TEXTS).items():
                if fingerprints.get(subset) != fingerprint:
                    raise UserError(
                        f"{self.data}: the files, tokenizer or length of '{subset}' changed since this run began; "
                        "put them back, or train on the new ones in another folder (folder=…)"
                    )

    @property
    def precision(self) -> Precision | None:
        """What this run was trained in when it was started last, on any hardware; None where it was not."""
        if not self.deepspeed.exists() or not self.config.exists():
            return None
        recorded = recorded_run(self.config).runtime.precision
        if recorded != "auto":
            return recorded
        bf16 = recorded_json(self.deepspeed, MAPPING).get("bf16")  # started by an earlier xdist
        return "bf16" if isinstance(bf16, dict) and bf16.get("enabled") else "fp32"

    @property
    def zero(self) -> str | None:
        """The file of DeepSpeed's that this run was trained with when it was started last; None where it was not."""
        zero: str | None = self._chosen("deepspeed")
        return zero

    @property
    def micro_batch_tokens(self) -> int | None:
        """The tokens of a micro-batch that this run was trained with when it was started last; None where it was not."""
        tokens: int | None = self._chosen("micro_batch_tokens")
        return tokens

    def _chosen(self, key: str) -> Any:
        if not self.deepspeed.exists() or not self.config.exists():
            return None
        recorded = getattr(recorded_run(self.config).runtime, key)
        return None if recorded == AUTO else recorded

    def _as_begun(self, values: dict[str, Any]) -> dict[str, Any]:
        """A run's description with what this run was started with instead of `auto`."""
        return _in(values, precision=self.precision, deepspeed=self.zero, micro_batch_tokens=self.micro_batch_tokens)

    def chose(self, **runtime: Any) -> None:
        """Write down what keys of `runtime` became that were `auto`."""
        with writing(self.path):
            write_yaml(self.config, _in(recorded_run(self.config).dump(), **runtime))

    @property
    def begun_in(self) -> Precision | None:
        """The precision of the checkpoints that a start resumes from; None where there is nothing to resume from."""
        if self.model.is_dir() or not any(self.checkpoints.glob("step-*")):
            return None
        return self.precision

    def check_precision(self, config: DeepSpeed) -> None:
        """Raises UserError when training would resume in another precision than its checkpoints have. Those of fp32 and TF32
        are equal."""
        then, now = self.begun_in, config.precision
        if then and then != now and not {then, now} <= {"fp32", "tf32"}:
            raise UserError(
                f"{self.deepspeed}: this run was started in {then}, here it would resume in {now}: runtime.precision={then}"
            )

    def clear(self) -> None:
        """Remove what killed writers left. Only for who holds the folder."""
        clear(self.path, {path.name for path in vars(self).values() if path != self.path} | set(MARKS))
        for place in (self.checkpoints, self.best, self.model, self.kept, *self.predictions.glob("*")):
            clear(place)

    def go_on(self) -> None:
        """A run that was stopped, or failed, is running again."""
        if self.state in ("unfinished", "failed"):
            self.mark("running")

    def announce(self, run: Run) -> None:
        """Make the folder this run's own before its ranks start elsewhere: how an earlier start ended is forgotten, so that a
        error that they meet on the way is marked, and not taken for a saved run. Raises UserError as `check` does, and where
        another start uses it; RunError where it cannot be written to."""
        self.check(run)
        RunLock(self.path).check()
        with writing(self.path):
            write_yaml(self.config, self._as_begun(run.dump()))
            if self.state != "finished":
                self.mark("running")

    def open(
        self,
        run: Run,
        config: DeepSpeed | None,
        fingerprints: dict[str, str],
        fetched: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Write what was requested, and which commits of the hub's repositories were `fetched`; called by one process. Raises
        UserError as `check`, `check_data`, `check_precision` do, and RunError where it cannot be written."""
        self.check(run)
        self.check_data(fingerprints)
        if config is not None:
            self.check_precision(config)
        with writing(self.path):
            now = {"precision": config.precision, "deepspeed": config.name} if config else {}
            # First: without it the other files here would belong to no run.
            write_yaml(self.config, self._as_begun(_in(run.dump(), **now)))
            write_json(self.data, fingerprints)
            if config is not None:
                write_json(self.deepspeed, dict(config.values))
            write_json(self.environment, {**environment(), **({"fetched": dict(fetched)} if fetched else {})})
            self.mark("running")


def _in(values: dict[str, Any], **chosen: Any) -> dict[str, Any]:
    """A run's description with what was chosen, where that is known, instead of `auto`."""
    runtime = values["runtime"]
    runtime |= {key: value for key, value in chosen.items() if value is not None and runtime[key] == AUTO}
    return values


def locate_run_folder(place: Path) -> RunFolder:
    """The run folder that `place` is, or that the YAML `place` describes. Raises UserError."""
    if place.suffix in (".yaml", ".yml"):
        return RunFolder(recorded_run(place).folder)
    folder = RunFolder(place)
    if not folder.config.is_file():
        raise UserError(f"{place}: is not a run folder (no config.yaml)" if place.is_dir() else f"{place}: no such folder")
    return folder


def environment() -> dict[str, str]:
    """Versions and platform; nothing of the user's environment variables, which may hold secrets."""
    versions = {"xdist": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _difference(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> tuple[str, object, object]:
    """The first key that differs, as deep as both sides have it."""
    keys = dict.fromkeys((*old, *new))  # a method has options that another has not, so what decides on them comes first
    # Of plugins only the digests count, which are compared last: the same one may be elsewhere.
    for key in sorted(keys, key=lambda key: (key == "plugins", key != "method", key not in old or key not in new)):
        if not prefix and key not in {*IDENTITY, "plugins", "data"}:
            continue
        was, is_now = old.get(key, "not set"), new.get(key, "not set")
        if isinstance(was, list) and isinstance(is_now, list) and len(was) == len(is_now):
            was, is_now = ({str(place): value for place, value in enumerate(values)} for values in (was, is_now))
        if was != is_now:
            if isinstance(was, dict) and isinstance(is_now, dict):
                return _difference(was, is_now, f"{prefix}{key}.")
            return prefix + key, was, is_now
    raise AssertionError("equal configurations with different identities")
