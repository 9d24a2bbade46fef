"""Lines for sbatch that are yours, and what comes before python on SLURM's nodes: your own words, or Apptainer's."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator

from xdist.config.plain import OneLine
from xdist.errors import UserError

# Options that are written from keys, and those that a job needs as they are.
KEYS = {
    "nodes": "nodes",
    "gpus-per-node": "gpus_per_node",
    "cpus-per-task": "cpus_per_node",
    "mem": "memory",
    "time": "time_limit",
    "partition": "partition",
    "account": "account",
    "qos": "qos",
    "constraint": "constraint",
    "reservation": "reservation",
    "gres": "gres",
    "exclude": "exclude",
    "exclusive": "exclusive",
    "mail-user": "mail_user",
    "mail-type": "mail_type",
}
OURS = (
    *("job-name", "ntasks", "ntasks-per-node", "array", "dependency", "kill-on-invalid-dep", "requeue", "no-requeue"),
    *("open-mode", "signal", "output", "error", "chdir", "wrap", "parsable", "test-only", "wait", "hold"),
)


def _line(value: str) -> str:
    """One option in its long form. Raises ValueError for one that is said by a key or is not to be changed."""
    option = value.removeprefix("#SBATCH").strip()
    name = option[2:].split("=")[0].split(" ")[0]
    if not option.startswith("--") or not name.replace("-", "").isalnum() or not name.isascii():
        raise ValueError("expected an option of sbatch in its long form, such as --licenses=nastran:1")
    # sbatch takes the beginning of an option's name for it.
    if key := next((key for one, key in KEYS.items() if one.startswith(name)), None):
        raise ValueError(f"--{name}: is set by the key '{key}'")
    if any(one.startswith(name) for one in OURS):
        raise ValueError(f"--{name}: is not to be changed, xdist writes it")
    return option


def _words(value: str) -> str:
    """Words as a shell would read them; nothing is put in for `$`."""
    if "$" in value or "`" in value:
        raise ValueError("expected words without '$' and '`', which are not expanded; name a script that does it")
    try:
        if shlex.split(value):
            return value
    except ValueError as error:
        raise ValueError(f"expected words as a shell reads them: {error}") from None
    raise ValueError("expected the words of a command")


SbatchLine = Annotated[OneLine, AfterValidator(_line)]
CommandWords = Annotated[OneLine, AfterValidator(_words)]


def in_container(image: Path, binds: tuple[str, ...], folders: list[Path], gpus: bool) -> list[str]:
    """The words of Apptainer that start a command in `image`, where `folders` are seen as they are here. Raises UserError for a
    folder that cannot be passed to Apptainer."""
    words = ["apptainer", "exec", *(["--nv"] if gpus else [])]
    for folder in folders:
        if set(str(folder)) & set(":,"):
            raise UserError(f"{str(folder)!r}: Apptainer cannot be given a path with ':' or ','")
    there = [folder for folder in folders if not any(folder.is_relative_to(other) for other in folders if other != folder)]
    for bind in (*dict.fromkeys(map(str, there)), *binds):
        words += ["--bind", bind]
    return [*words, str(image)]


def folders_of(config: str) -> dict[str, Path]:
    """The absolute paths of the run in `config` that ranks open outside its folder: `root`, `cache` and `backbone`."""
    run: dict[str, Any] = yaml.safe_load(config) or {}
    data, model = run.get("data") or {}, run.get("model") or {}
    values = {"root": data.get("root"), "cache": data.get("cache"), "backbone": model.get("backbone")}
    return {name: Path(value) for name, value in values.items() if isinstance(value, str) and value.startswith("/")}
