"""The hub over its own client: its answers are checked here, and every refusal or false answer becomes one line."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import HFValidationError, HTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers, get_session, parse_ratelimit_headers, validate_repo_id
from pydantic import BaseModel, FailFast, TypeAdapter, ValidationError

from xdist.data.claims import Digest, Inside, Sha256, Size, file_and_folder
from xdist.errors import UserError
from xdist.fetch.parts import Repository

PAGES, ENTRIES = 1000, 200_000  # of a list of files; the hub advises against more than 100,000 files
PAGE_BYTES = 16 << 20
BUSY = 408, 429
TRIES, LONGEST_WAIT = 5, 300  # seconds
SHOWN = 300  # characters of what a hub says


class NoRevision(UserError):
    """The repository exists, the branch, tag or commit is not."""


class Lie(UserError):
    """The hub says or sends what cannot be."""


Advance = Callable[[int], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the hub lists it: `blob` is the digest that git gives its content (or the pointer to it), `sha256` that of the
    content where git holds a pointer only."""

    size: int
    blob: str
    sha256: str | None


class _Revision(BaseModel):
    sha: Digest


class _Large(BaseModel):
    oid: Sha256


class _File(BaseModel):
    path: Inside
    size: Size
    oid: Digest
    lfs: _Large | None = None


REVISION, FILE = TypeAdapter(_Revision), TypeAdapter(_File)
PAGE = TypeAdapter(Annotated[list[dict[str, Any]], FailFast()])


class HubClient:
    """`endpoint` is HF_ENDPOINT or the public hub; a token comes from HF_TOKEN or `hf auth login`, as everywhere."""

    def __init__(self, endpoint: str | None = None) -> None:
        self.endpoint = endpoint or constants.ENDPOINT

    def commit(self, repository: Repository, revision: str) -> str:
        """The digits that a branch, tag or commit stands for now."""
        with self._one_line(repository):
            body, _ = self._json(self._address(repository, "revision", revision), repository, revision)
            return self._claim(repository, REVISION, body, "of the revision").sha

    def files(self, repository: Repository, commit: str) -> dict[str, Listed]:
        """Every file of a commit by its path."""
        found: dict[str, Listed] = {}
        seen: set[str] = set()
        address: str | None = f"{self._address(repository, 'tree', commit)}?recursive=true"
        with self._one_line(repository):
            while address:
                seen.add(address)
                body, following = self._json(address, repository, commit)
                entries = self._claim(repository, PAGE, body, f"on page {len(seen)} of its list")
                for number, entry in enumerate(entries, start=1):
                    if entry.get("type") != "file":
                        continue
                    file = self._claim(repository, FILE, entry, f"of entry {number} on page {len(seen)} of its list")
                    if file.path in found:
                        raise self._lie(repository, f"lists '{file.path}' twice")
                    found[file.path] = Listed(file.size, file.oid, file.lfs.oid if file.lfs else None)
                if len(found) > ENTRIES:
                    raise self._lie(repository, f"lists more than {ENTRIES:,} files")
                address = self._next(repository, urljoin(address, following), seen) if following else None
        if path := file_and_folder(found):
            raise self._lie(repository, f"lists '{path}' as a file and as a folder")
        return found

    def download(self, repository: Repository, commit: str, path: str, size: int, partial: Path, advance: Advance) -> None:
        """Download the rest of a file into `partial`, which never grows beyond `size` and keeps what has come when the
        connection does not hold."""
        url = hf_hub_url(repository.id, path, repo_type=repository.kind, revision=commit, endpoint=self.endpoint)
        if size > constants.MAX_HTTP_DOWNLOAD_SIZE:
            raise UserError(f"{repository}: {path} has {size:,} bytes, more than the hub sends")
        left = TRIES
        with self._one_line(repository):
            partial.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("ab") as file:
                if file.tell() > size:
                    _empty(file)
                advance(file.tell())
                while (have := file.tell()) < size:
                    try:
                        self._rest(url, repository, commit, path, size, file, advance)
                    except HTTPError:
                        left = TRIES if file.tell() > have else left - 1
                        if not left:
                            raise
                        time.sleep(1)
                    except Lie:
                        _empty(file)
                        raise

    def _rest(
        self, url: str, repository: Repository, commit: str, path: str, size: int, file: BinaryIO, advance: Advance
    ) -> None:
        have = file.tell()
        with self._answer(url, repository, commit, have) as response:
            if have and response.status_code != 206:  # ranges are not known there: the complete file is sent
                _empty(file)
                advance(-have)
            for chunk in response.iter_raw():
                if file.tell() + len(chunk) > size:
                    raise self._lie(repository, f"sends more of {path} than the {size:,} bytes that it lists")
                file.write(chunk)
                advance(len(chunk))
        if file.tell() < size:
            raise self._lie(repository, f"sends {file.tell():,} bytes of {path}, of which it lists {size:,}")

    def _address(self, repository: Repository, what: str, revision: str) -> str:
        validate_repo_id(repository.id)
        return f"{self.endpoint}/api/{repository.kind}s/{repository.id}/{what}/{quote(revision, safe='')}"

    def _next(self, repository: Repository, address: str, seen: set[str]) -> str:
        """The address of the next page, if it is one of this hub's and not one of those that were `seen`."""
        here, there = urlsplit(self.endpoint), urlsplit(address)
        if there.netloc != here.netloc or there.scheme not in (here.scheme, "https") or len(address) > SHOWN * 10:
            raise self._lie(repository, f"continues its list elsewhere: {address}")
        if address in seen:
            raise self._lie(repository, f"continues its list with an earlier page: {address}")
        if len(seen) >= PAGES:
            raise self._lie(repository, f"lists its files on more than {PAGES:,} pages")
        return address

    def _json(self, address: str, repository: Repository, revision: str) -> tuple[bytes, str | None]:
        """(body, address of what follows)."""
        body = bytearray()
        with self._answer(address, repository, revision) as response:
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > PAGE_BYTES:
                    raise self._lie(repository, f"answers with more than {PAGE_BYTES >> 20} MB of JSON")
            return bytes(body), response.links.get("next", {}).get("url")

    @contextmanager
    def _answer(self, url: str, repository: Repository, revision: str, begin: int = 0) -> Iterator[Any]:
        """The answer to a request for what is at `url`, from its byte `begin` on. Raises UserError for a refusal."""
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}  # a range of a compressed answer is of no use
        if begin:
            headers["Range"] = f"bytes={begin}-"
        for number in range(TRIES):
            with get_session().stream("GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT) as response:
                if response.status_code not in BUSY or number == TRIES - 1:
                    if begin and response.status_code == 416:
                        raise self._lie(repository, f"has no more than {begin:,} bytes of a file that it lists as larger")
                    if not response.is_success:
                        raise self._refused(repository, revision, response)
                    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                        raise self._lie(repository, "answers in an encoding that was not requested")
                    yield response
                    return
                limit = parse_ratelimit_headers(response.headers)
            time.sleep(min(limit.reset_in_seconds + 1 if limit else 2**number, LONGEST_WAIT))

    def _refused(self, repository: Repository, revision: str, response: Any) -> UserError:
        """Why, by the hub's own headers; what it sends with them is not read, since it may have no end."""
        where = f"the hub ({self.endpoint})"
        code, said = (response.headers.get(name, "") for name in ("X-Error-Code", "X-Error-Message"))
        if code == "GatedRepo":
            return UserError(f"{repository}: is gated: accept its terms on its page, then set HF_TOKEN")
        if code == "RepoNotFound" or (response.status_code == 401 and "Invalid credentials" not in said):
            return UserError(f"{repository}: {where} has no such repository, or it is private (set HF_TOKEN)")
        if code == "RevisionNotFound":
            return NoRevision(f"{repository}: has no revision '{revision}'")
        why = first_line(said or response.reason_phrase)
        return UserError(f"{repository}: {where} answered {response.status_code}: {why} ({first_line(str(response.url))})")

    def _claim(self, repository: Repository, kind: TypeAdapter[T], value: object, where: str) -> T:
        """`value`, JSON or what was JSON, as `kind` has it. Raises UserError for anything else."""
        try:
            return kind.validate_json(value) if isinstance(value, bytes) else kind.validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            key = "".join(f"'{part}' " for part in first["loc"] if isinstance(part, str))
            found = f", found {first['input']!r:.60}" if first["loc"] else ""
            message = first["msg"].removeprefix("Value error, ")
            raise self._lie(repository, f"says what cannot be: {key}{where}: {message}{found}") from None

    def _lie(self, repository: Repository, what: str) -> Lie:
        return Lie(printable(f"{repository}: the hub ({self.endpoint}) {what}"))

    @contextmanager
    def _one_line(self, repository: Repository) -> Iterator[None]:
        try:
            yield
        except OfflineModeIsEnabled:
            raise UserError(f"{repository}: the hub is switched off; unset HF_HUB_OFFLINE to fetch") from None
        except HFValidationError as error:
            raise UserError(f"{repository}: {first_line(str(error))}") from None
        except HTTPError as error:
            why = f"the hub ({self.endpoint}) cannot be reached: {first_line(str(error) or type(error).__name__)}"
            raise UserError(f"{repository}: {why}; what was downloaded is kept: fetch again to resume") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{repository}: {first_line(refusal_reason(error))}") from None


def free_bytes(folder: Path) -> int:
    """What is free on the disk that `folder`, which need not be there yet, will be on."""
    return shutil.disk_usage(next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())).free


def refusal_reason(error: OSError | ValueError) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def first_line(text: str) -> str:
    """Of what a hub says, as a terminal may show it."""
    return printable(next(iter(text.strip().splitlines()), ""))


def printable(text: str) -> str:
    """Without what a terminal would obey."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)[:SHOWN]
