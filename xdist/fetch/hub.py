"""The hub over its own client; every way in which it can refuse becomes one line."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, silent_tqdm

from xdist.errors import UserError
from xdist.fetch.parts import Repository


class NoRevision(UserError):
    """The repository is there, the branch, tag or commit is not."""


Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the hub lists it: `blob` is the SHA-1 that git gives its content (or the pointer to it), `sha256` that of the
    content where git holds a pointer only."""

    size: int
    blob: str
    sha256: str | None


class Hub:
    """`endpoint` is HF_ENDPOINT or the public hub; a token comes from HF_TOKEN or `hf auth login`, as everywhere."""

    def __init__(self, endpoint: str | None = None) -> None:
        self._api = HfApi(endpoint=endpoint)

    def commit(self, repository: Repository, revision: str) -> str:
        """The 40 digits that a branch, tag or commit stands for now."""
        with self._one_line(repository, revision):
            return str(self._api.repo_info(repository.id, repo_type=repository.kind, revision=revision).sha)

    def files(self, repository: Repository, commit: str) -> dict[str, Listed]:
        """Every file of a commit by its path."""
        with self._one_line(repository, commit):
            tree = self._api.list_repo_tree(repository.id, repo_type=repository.kind, revision=commit, recursive=True)
            return {
                entry.path: Listed(entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else None)
                for entry in tree
                if isinstance(entry, RepoFile)
            }

    def download(self, repository: Repository, commit: str, path: str, size: int, partial: Path, advance: Advance) -> None:
        """Bring the rest of a file into `partial`, which keeps what has come when the connection does not hold.

        `hf_hub_download` would throw the part of a file away that a killed process has fetched."""

        class Bar(silent_tqdm):
            def update(self, n: float | None = 1) -> None:
                advance(int(n or 0))

        url = hf_hub_url(repository.id, path, repo_type=repository.kind, revision=commit, endpoint=self._api.endpoint)
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}  # a range of a compressed answer is of no use
        partial.parent.mkdir(parents=True, exist_ok=True)
        with self._one_line(repository, commit), partial.open("ab") as file:
            if file.tell() > size:
                file.truncate(0)
            advance(file.tell())
            http_get(url, file, resume_size=file.tell(), headers=headers, expected_size=size, tqdm_class=Bar)  # type: ignore[arg-type]

    @contextmanager
    def _one_line(self, repository: Repository, revision: str) -> Iterator[None]:
        where = f"the hub ({self._api.endpoint})"
        try:
            yield
        except GatedRepoError:
            raise UserError(f"{repository}: is gated: accept its terms on its page, then set HF_TOKEN") from None
        except RepositoryNotFoundError:
            raise UserError(f"{repository}: {where} has no such repository, or it is private (set HF_TOKEN)") from None
        except RevisionNotFoundError:
            raise NoRevision(f"{repository}: has no revision '{revision}'") from None
        except OfflineModeIsEnabled:
            raise UserError(f"{repository}: the hub is switched off; unset HF_HUB_OFFLINE to fetch") from None
        except HfHubHTTPError as error:
            raise UserError(f"{repository}: {where} answered {error.response.status_code}: {_first_line(error)}") from None
        except HFValidationError as error:
            raise UserError(f"{repository}: {_first_line(error)}") from None
        except HTTPError as error:
            reason = f"{where} cannot be reached: {_first_line(error)}"
            raise UserError(f"{repository}: {reason}; what has come is kept: fetch again to go on") from None
        except (OSError, ValueError) as error:
            reason = (
                f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else _first_line(error)
            )
            raise UserError(f"{repository}: {reason}") from None


def free_bytes(folder: Path) -> int:
    """What is free on the disk that `folder`, which need not be there yet, will lie on."""
    return shutil.disk_usage(next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())).free


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
