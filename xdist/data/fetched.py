"""What `xdist fetch` has downloaded from the hub: where it is below a data root, and the lock that says what it is.

<root>/models/<id>/…   <root>/hub/<id of a data set>/…   each with fetched.json, which exists when all files do
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from xdist.config import Model
from xdist.data.adapters import adapter_digest
from xdist.data.claims import LOCK, Digest, FilePath, Inside, Sha256, Size, check_file_path, file_and_folder
from xdist.errors import UserError
from xdist.files import Digests, digest

# The files of a model folder that say what it computes.
MODEL_FILES = ("config.json", "tokenizer.json", "branches.json", "syntax.json", "*.safetensors", "pytorch_model*.bin")
SLOW_TOKENIZER = ("vocab.json", "merges.txt", "tokenizer_config.json")  # where there is no tokenizer.json, as of XLM
FOLDERS = {"model": "models", "dataset": "hub"}

RepositoryKind = Literal["model", "dataset"]


class FetchedFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Size
    sha256: Sha256


class Lock(BaseModel):
    """A repository as it was fetched: `commit` is what `revision` was then, `parts` what was requested, `absent` those of them
    that the hub does not have, `files` what is in the folder, by path in the repository."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: FilePath
    kind: RepositoryKind
    revision: str
    commit: Digest
    parts: tuple[Inside, ...]
    absent: tuple[Inside, ...] = ()
    files: dict[FilePath, FetchedFile]

    @model_validator(mode="after")
    def _each_path_once(self) -> "Lock":
        if path := file_and_folder(self.files):
            raise ValueError(f"'{path}' is a file and a folder")
        return self


def repository_folder(root: Path, kind: RepositoryKind, id: str) -> Path:
    """The folder of a repository."""
    return root / FOLDERS[kind] / id


def read_lock(path: Path) -> Lock | None:
    """The lock at `path`; None where there is none. Raises UserError for a file that is no lock."""
    try:
        return Lock.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValidationError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not what `xdist fetch` writes"
        raise UserError(f"{path}: {reason}; remove it and fetch again") from None


def may_be_hub_id(backbone: str) -> bool:
    """`name` and `owner/name` may be; anything else is a path."""
    try:
        check_file_path(backbone)
    except ValueError:
        return False
    return not backbone.startswith((".", "~")) and backbone.count("/") <= 1


# Where the hub's own library keeps a commit of a model.
CACHED = re.compile(r".*/models--([^/]+)/snapshots/([0-9a-f]{40})")


def from_hub(place: str) -> tuple[str, str | None] | None:
    """(id, commit) of the model of the hub in a folder, as its lock or the name of the hub's cache says it; of what
    is no folder its name, if it may be an id, without a commit. None for anything else."""
    folder = Path(place)
    if not folder.is_dir():
        return (place, None) if may_be_hub_id(place) else None
    lock = read_lock(folder / LOCK)
    if lock and lock.kind == "model":
        return lock.id, lock.commit
    cached = CACHED.fullmatch(folder.absolute().as_posix())
    return (cached[1].replace("--", "/", 1), cached[2]) if cached else None


def check_place(backbone: str) -> None:
    """Raises UserError for a path to a folder that is missing; `name` and `owner/name` may be hub ids."""
    if not Path(backbone).is_dir() and not may_be_hub_id(backbone):
        raise UserError(f"{backbone}: no such folder (model.backbone)")


def check_package(backbone: str, kind: str) -> None:
    """Raises UserError where the tokenizer of encoders of this type needs a package that is not here."""
    if kind == "xlm" and find_spec("sacremoses") is None:
        raise UserError(f"{backbone}: XLM's tokenizer needs the package sacremoses: pip install sacremoses")


def load_error(backbone: str, what: str, error: BaseException) -> UserError:
    """Why nothing could be loaded, and what to do about it where the backbone is a hub id."""
    if not Path(backbone).is_dir() and is_offline():
        return UserError(
            f"{backbone}: is not here and the hub is switched off: run `xdist fetch RUN.yaml` on a machine with a network"
        )
    if not Path(backbone).is_dir() and isinstance(error, OSError):  # transformers' own line takes any folder for a hub id
        return UserError(f"{backbone}: no such folder, and nothing of that name was found on the hub")
    return UserError(f"{backbone}: {what}{str(error).strip().splitlines()[0]}")


def is_offline() -> bool:
    """Whether the hub is switched off."""
    from huggingface_hub import is_offline_mode

    return is_offline_mode()


def use_fetched_model(model: Model, root: Path) -> Model:
    """`model` with the fetched copy instead of a hub id, where there is one below the data root.

    The run itself, and with it its identity, keeps the id: it is the same run with the copy at any path.
    """
    if lock_of_model(model.backbone, root) is None:
        return model
    return model.model_copy(update={"backbone": str(repository_folder(root, "model", model.backbone))})


def model_digest(name: str, digests: Digests, *more: str) -> str:
    """A hub id as it is; of a folder the digest of the files that say what the model computes, and of what `more` does."""
    folder = Path(name)
    names = MODEL_FILES if (folder / "tokenizer.json").is_file() else (*MODEL_FILES, *SLOW_TOKENIZER)
    found = (path for pattern in names for path in folder.glob(pattern)) if folder.is_dir() else ()
    files = sorted(path for path in found if not path.name.startswith("."))
    if (adapter := adapter_digest(folder, digests)) is not None:
        more = (*more, adapter)
    return digest([(path.name, digests.of(path)) for path in files], *more) if files else name


def lock_of_model(backbone: str, root: Path) -> Lock | None:
    """Of the backbone, where it has been fetched."""
    if Path(backbone).is_dir() or not may_be_hub_id(backbone):
        return None
    return read_lock(repository_folder(root, "model", backbone) / LOCK)
