"""Pushing an exported model: all of it in one commit, or nothing. Who may, where to and how it is seen is asked before anything
is sent, and the result is compared with what was sent."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import disable_progress_bars, validate_repo_id
from safetensors import SafetensorError, safe_open

from xdist.errors import UserError
from xdist.fetch.fetching import check_file
from xdist.fetch.hub import HubClient, first_line, refusal_reason
from xdist.fetch.parts import MODEL_PARTS, Repository, files_of, model
from xdist.files import read_json

CARD = "README.md"
OF_OURS = ("lineage", *sorted(set(MODEL_PARTS) - {"heads", "lineage"}))
NO_TOKEN = "no token of the hub: set HF_TOKEN to one that may write, or `hf auth login`"


@dataclass(frozen=True, slots=True)
class Destination:
    """A repository that may be pushed to, as `user`, whose the token is; `files` and `commit` are what it holds now, None for
    one that will be made."""

    repository: Repository
    user: str
    public: bool
    commit: str | None
    files: tuple[str, ...]

    def __str__(self) -> str:
        seen = "public" if self.public else "private"
        return f"{self.repository.id} ({seen}, {'there already' if self.commit else 'new'}) as {self.user}"


def exported_files(folder: Path) -> list[str]:
    """The files of an exported model, in order. Raises UserError for a folder that is no complete export."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    parts = {part: files_of("model", part, names) for part in OF_OURS}
    for part, names_of_part in {**parts, CARD: [CARD] if CARD in names else []}.items():
        if not names_of_part:
            raise UserError(f"{folder}: is not what `xdist export` writes (no {MODEL_PARTS.get(part, ((part,),))[0][0]})")
    index = next((name for name in parts["weights"] if name.endswith(".json")), None)
    shards = set(read_json(folder / index)["weight_map"].values()) if index else ()
    for name in sorted({*parts["weights"], *shards} - {index}):
        try:
            with safe_open(folder / str(name), "pt"):
                pass
        except (OSError, SafetensorError) as error:
            raise UserError(f"{folder / str(name)}: is not complete: {first_line(str(error))}") from None
    return [CARD, *(name for names_of_part in parts.values() for name in names_of_part)]


def destination(id: str, public: bool) -> Destination:
    """Where a push to `id` would go. Raises UserError without a token that may write there, and for a repository that others
    see more, or less, of than is requested."""
    repository = model(id)
    if "/" not in id:
        raise UserError(f"{id}: a repository to push to is OWNER/NAME")
    with _one_line(id):
        validate_repo_id(id)
        token = get_token()
        if token is None:
            raise UserError(f"{id}: {NO_TOKEN}")
        api = HfApi()
        me = api.whoami()
        access = me.get("auth", {}).get("accessToken", {})
        if access.get("role") == "read":
            raise UserError(f"{id}: the token '{first_line(str(access.get('displayName')))}' may read only; {NO_TOKEN[14:]}")
        user = first_line(str(me.get("name")))
        try:
            found = api.repo_info(id)
        except RepositoryNotFoundError:
            owners = [user, *(first_line(str(organisation.get("name"))) for organisation in me.get("orgs", []))]
            if id.split("/")[0] not in owners:
                raise UserError(
                    f"{id}: does not exist, and the token is of {' and '.join(owners)}, who cannot create it"
                ) from None
            return Destination(repository, user, public, None, ())
        if bool(found.private) == public:
            now, wanted = ("private", "--public is given") if public else ("public", "without --public a push is private")
            raise UserError(f"{id}: is {now}, and {wanted}")
        files = tuple(HubClient().files(repository, str(found.sha)))
        return Destination(repository, user, public, str(found.sha), files)


def push(to: Destination, folder: Path, card: str, summary: str, shown: bool) -> str:
    """Make the repository where it is missing, and put the exported model in `folder` there with this `card`, in one commit;
    weights and tokenizer that it held before and holds no more are deleted in it. Returns the commit. Raises UserError: then
    nothing has changed there but that the repository is."""
    names, id = exported_files(folder), to.repository.id
    if not shown:
        disable_progress_bars()
    with _one_line(id):
        api = HfApi()
        if to.commit is None:
            api.create_repo(id, private=not to.public)
        stale = sorted({name for part in MODEL_PARTS for name in files_of("model", part, to.files)} - set(names))
        added: Mapping[str, Any] = {name: folder / name for name in names} | {CARD: card.encode()}
        commit = api.create_commit(
            id,
            [
                *(CommitOperationAdd(name, content) for name, content in added.items()),
                *(CommitOperationDelete(name) for name in stale),
            ],
            commit_message=summary,
            parent_commit=to.commit,
        )
        listed = HubClient().files(to.repository, commit.oid)
    for name in (name for name in names if name != CARD):
        if name not in listed or check_file(folder / name, listed[name]) is None:
            raise UserError(f"{id}: {name} differs from what was sent, in commit {commit.oid[:8]}; push again")
    return commit.oid


@contextmanager
def _one_line(id: str) -> Iterator[None]:
    try:
        yield
    except OfflineModeIsEnabled:
        raise UserError(f"{id}: the hub is switched off; unset HF_HUB_OFFLINE to push") from None
    except HFValidationError as error:
        raise UserError(f"{id}: {first_line(str(error))}") from None
    except HfHubHTTPError as error:
        raise UserError(f"{id}: {_refused(error)}") from None
    except HTTPError as error:
        raise UserError(f"{id}: the hub cannot be reached: {first_line(str(error) or type(error).__name__)}") from None
    except RuntimeError as error:  # of an upload: which file, and why it failed beneath
        why = error.__cause__ if error.__cause__ is not None else error
        reason = _refused(why) if isinstance(why, HfHubHTTPError) else first_line(str(why))
        raise UserError(f"{id}: {first_line(str(error))} {reason}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{id}: {' '.join(refusal_reason(error).split())}") from None


def _refused(error: HfHubHTTPError) -> str:
    """What the hub answered, without the addresses and numbers of requests around it."""
    status = error.response.status_code
    if status == 401:
        return "the hub does not know this token (HF_TOKEN, else `hf auth login`)"
    reason = first_line(error.server_message or error.response.reason_phrase)
    return f"the hub answered {status}: {reason}"
