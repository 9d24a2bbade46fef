"""Commands as users type them."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryFile

import pytest
import yaml
from elsewhere import LANGUAGES, Scored, udpos
from loaded import Loaded, Process
from tiny import tiny_benchmark, tiny_model, tiny_places
from tiny_finetuned import tiny_finetuned
from tiny_kinds import tiny_kind
from typing_of_commands import Typed

from xdist.tasks.catalog import task

# What commands import of others, with modules of xdist that import most of it.
LIBRARIES = (
    "xdist.train",
    "xdist.evaluate",
    "xdist.api",
    "xdist.demo.tiny",
    "datasets",
    "jinja2",
    "rich.console",
    "tensorboard.backend.event_processing.event_accumulator",
    "torch.utils.tensorboard",
    "transformers.models.xlm_roberta.modeling_xlm_roberta",
    "transformers.models.xlm_roberta.tokenization_xlm_roberta",
)
PLUGINS = ("task.py", "balanced_accuracy.py", "fading.py")


@pytest.fixture(scope="session")
def typed() -> Typed:
    """`typed("xdist", "train", …)` runs a command of this environment and gives its exit code, stdout and stderr."""
    commands = Path(sys.executable).parent

    def run(
        *words: object, timeout: float = 400, more: Mapping[str, str] = {}, **options: object
    ) -> subprocess.CompletedProcess[str]:
        line = [str(commands / str(words[0])), *map(str, words[1:])]
        environment = {**os.environ, "DS_ACCELERATOR": "cpu", "PATH": f"{commands}:{os.environ['PATH']}", **more}
        return subprocess.run(line, capture_output=True, text=True, timeout=timeout, env=environment, **options)  # type: ignore[call-overload]

    return run


@pytest.fixture(scope="session")
def libraries() -> Iterator[Loaded]:
    """What `loaded` and `begun` fork commands from."""
    made = Loaded(LIBRARIES)
    yield made
    made.close()


def forked(*words: object) -> tuple[list[str], dict[str, str]]:
    """The program, its words and the variables of a command: `xdist`, `deepspeed` or `python SCRIPT`."""
    commands = Path(sys.executable).parent
    assert words[0] in ("xdist", "deepspeed", "python")
    line = [str(commands / str(words[0])), *map(str, words[1:])]
    variables = {**os.environ, "DS_ACCELERATOR": "cpu", "PATH": f"{commands}:{os.environ['PATH']}"}
    return (line[1:] if words[0] == "python" else line), variables


@pytest.fixture(scope="session")
def begun(libraries: Loaded) -> Callable[..., Process]:
    """`begun("xdist", "train", …)` is such a command of `loaded` while it is running."""

    def begin(*words: object) -> Process:
        (program, *others), variables = forked(*words)
        return Process(libraries, program, *others, variables=variables, stderr=True)

    return begin


@pytest.fixture(scope="session")
def loaded(libraries: Loaded) -> Typed:
    """As `typed` and many times cheaper: for commands whose start is not what is tested. Their ranks are forked too, and import
    xdist again."""

    def run(
        *words: object, timeout: float = 400, more: Mapping[str, str] = {}, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        line, variables = forked(*words)
        with open(os.devnull) as nothing, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
            pid = libraries.start(line, {**variables, **more}, cwd, [file.fileno() for file in (nothing, out, err)])
            try:
                code = libraries.wait(pid, timeout)
            except subprocess.TimeoutExpired:
                os.kill(pid, signal.SIGKILL)
                raise
            finally:
                out.seek(0)
                err.seek(0)
                said = out.read(), err.read()
        return subprocess.CompletedProcess(line, code, *said)

    return run


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny benchmark, a tiny encoder and two runs: an intermediate one, and a target that begins with it and
    has a task, a metric and a method of another's. A command that imports one of their files writes the file `executed`."""
    folder = tmp_path_factory.mktemp("typed")
    tiny_benchmark(folder / "benchmark")
    tiny_places(folder / "benchmark")
    tiny_model(folder / "encoder", folder / "benchmark")
    (folder / "sizes.txt").write_text("0.02 0.01")
    for name in PLUGINS:
        text = (Path(__file__).resolve().parents[1] / "third_party" / name).read_text(encoding="utf-8")
        (folder / name).write_text(f"{text}\n\nopen({str(folder / 'executed')!r}, 'a').close()\n", encoding="utf-8")
    common = {"data": {"root": str(folder / "benchmark"), "cache": str(folder / "prepared")}}
    runtime = {"ranks": 2, "log_every": 5}
    intermediate = {
        "name": "intermediate",
        "folder": str(folder / "intermediate"),
        "model": {"backbone": str(folder / "encoder")},
        **common,
        "train": {
            "tasks": [{"task": "cldr-topic", "languages": ["en", "de"]}],
            "steps": 150,
            "batch_size": 32,
            "learning_rate": 2e-3,
        },
        "evaluate": {"tasks": ["cldr-topic"]},
        "runtime": {**runtime, "deepspeed": "zero1"},
    }
    target = {
        "name": "target",
        "folder": str(folder / "target"),
        "model": {"backbone": str(folder / "intermediate" / "model")},
        **common,
        "train": {
            "tasks": [{"task": "cldr-spans"}, {"task": "cldr-topic"}, {"task": "place"}],
            "epochs": 5,
            "batch_size": 16,
            "learning_rate": 1e-3,
        },
        "plugins": [str(folder / name) for name in PLUGINS],
        "robust": [
            {"method": "adversarial", "steps": 2, "norm": "linf", "ball": "token"},
            {"method": "fading", "sizes": str(folder / "sizes.txt")},
        ],
        "evaluate": {"tasks": ["cldr-spans", "cldr-names", "place"]},
        "runtime": {**runtime, "deepspeed": "zero2"},
    }
    for run in (intermediate, target):
        (folder / f"{run['name']}.yaml").write_text(yaml.safe_dump(run), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def elsewhere(loaded: Typed, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """An XLM-R whose tags are in their own order, scored by one command."""
    place = tmp_path_factory.mktemp("elsewhere")
    udpos(place / "download")
    folder = tiny_kind(place / "models/tagger", "xlm-roberta", max_position_embeddings=160)
    model = tiny_finetuned(folder, "tagging", task("udpos").labels[::-1])
    words = ("--model", "models/tagger", "--task", "udpos", "--data", "download", "--languages", ",".join(LANGUAGES))
    done = loaded("xdist", "evaluate", *words, "--ranks", "1", cwd=place)
    assert done.returncode == 0, done.stderr
    return Scored(place, model, words)
