"""A hub that lies, and a lock that is damaged: refused in one line, nothing outside the folder touched, existing files kept."""

import json
import os
import string
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from click.testing import CliRunner
from hub_server import HubServer, Said, serving, without_end
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from resolved_of import resolved_of

from xdist.cli import main
from xdist.config import Run
from xdist.data.claims import LOCK, PARTIAL, UNFINISHED, Digest, Size, check_file_path, check_inside, file_and_folder
from xdist.data.fetched import Lock, read_lock
from xdist.errors import UserError
from xdist.fetch import hub as hub_module
from xdist.fetch import parts
from xdist.fetch.fetching import fetch, plan
from xdist.fetch.hub import HubClient
from xdist.fetch.parts import Repository
from xdist.model.folder import HEADS, HEADS_INDEX

ID = "someone/model"
WEIGHTS = "model.safetensors"
FILES = {"config.json": b"{}", "tokenizer.json": b'{"a": 1}', WEIGHTS: bytes(range(256)) * 80, "README.md": b"read me"}
LATER = {**FILES, "config.json": b'{"later": true}', WEIGHTS: bytes(range(255, -1, -1)) * 80}
SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def started() -> Iterator[HubServer]:
    with serving() as state:
        yield state


@pytest.fixture
def server(started: HubServer) -> HubServer:
    for memory in (started.repositories, started.lies, started.requests):
        memory.clear()
    started.add("model", ID, FILES)
    started.sent = 0
    return started


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root, with a file next to it that must not change under any name that a false answer can lead to."""
    for name in ("x", "x.json", "x.safetensors", "root/models/x", "root/models/someone/x", "root/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("kept")
    return tmp_path / "root"


def everything(folder: Path) -> dict[str, bytes | str]:
    """Every file and link below `folder`, without what has come of a fetch that is not done."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path)] = os.readlink(path)
        elif path.is_file() and PARTIAL not in path.parts and path.name != UNFINISHED:
            found[str(path)] = path.read_bytes()
    return found


def brought(server: HubServer, root: Path, **options: Any) -> Any:
    hub, repository = HubClient(server.url), options.pop("repository", parts.model(ID))
    todo = plan(hub, root, repository, options.get("revision"), options.get("update", False), options.get("verify", False))
    fetch(hub, repository, todo, lambda count: None)
    return todo


def refused(server: HubServer, root: Path, said: str, **options: Any) -> None:
    before = everything(root.parent)
    with pytest.raises(UserError) as caught:
        brought(server, root, **options)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700
    assert everything(root.parent) == before


def first(**changes: Any) -> Callable[[list[dict[str, Any]]], Any]:
    """The entries of a page, of which the first has other values; `...` takes one away."""

    def lie(entries: list[dict[str, Any]]) -> Any:
        entry = {**entries[0], **changes}
        return [{key: value for key, value in entry.items() if value is not ...}, *entries[1:]]

    return lie


def beside(*paths: Any) -> Callable[[list[dict[str, Any]]], Any]:
    """The entries of a page, and more."""
    return lambda entries: [*entries, *({"type": "file", "path": path, "size": 1, "oid": SHA} for path in paths)]


def raw(text: str) -> Callable[[Any], Any]:
    return lambda truth: Said(text.encode())


DIGITS = "expected 40 or 64 lower-case hexadecimal digits"
INSIDE = "expected a path that stays inside the folder"
SIGNS = "expected a path without control characters"
DEVICES = "expected names that are no devices"


# --- what is listed --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "lie, said",
    [
        *((first(oid=oid), f"'oid' of entry 1 on page 1 of its list: {DIGITS}, found '") for oid in ("../../x", "", SHA[1:])),
        *((first(oid=oid), DIGITS) for oid in (SHA + "0", SHA.upper(), SHA + "\n", "٠" * 40, f"/{SHA}", "0" * 63 + "g")),
        *((first(oid=oid), "says what cannot be: 'oid' of entry 1") for oid in (7, None, [SHA], {"sha": SHA})),
        (first(oid=...), "'oid' of entry 1 on page 1 of its list: Field required"),
        *((first(lfs={"oid": oid}), "'lfs' 'oid' of entry 1") for oid in ("../../../x", SHA, "0" * 65, None)),
        *((first(lfs=lfs), "'lfs' of entry 1") for lfs in ("x", [], 3)),
        (first(lfs={}), "'lfs' 'oid' of entry 1"),
        *((first(size=size), "'size' of entry 1") for size in (-1, 1.0, "7", True, None, 10**19, 10**400, [7])),
        (first(size=...), "'size' of entry 1"),
        *((beside(path), INSIDE) for path in ("../x", "../../x", "a/../../x", "..", "a/..", "/x", "//x", "a//x", "")),
        *((beside(path), INSIDE) for path in (".", "./x", "a/", "a/./x", "x\0.json", "a/" * 2000 + "x", "/" * 5000)),
        *((beside(path), "'path' of entry ") for path in (7, None, ["x"])),
        (beside("config.json/x"), "lists 'config.json' as a file and as a folder"),
        (beside("a/b/c", "a/b.c", "a/b"), "lists 'a/b' as a file and as a folder"),
        (beside("config.json"), "lists 'config.json' twice"),
        (beside("a\nb\x1b[2J", "a\nb\x1b[2J"), "lists 'a?b?[2J' twice"),
        *((beside(f"{name}.model"), DEVICES) for name in ("con", "NUL", "Aux.x", "com1", "lpt9 ")),
        *((beside(f"a{sign}x.model"), SIGNS) for sign in ("\\", "\\..\\..\\", ":", "\n", "\x1b[2J", "\u2028", "*")),
        (beside("x" * 300 + ".model"), "expected shorter names"),
        (raw("{}"), "says what cannot be: on page 1 of its list: Input should be a valid array"),
        (beside("\ud800.model"), "on page 1 of its list: Invalid JSON"),
        *((raw(text), "says what cannot be: ") for text in ('"x"', "null", "[1]", "[[]]", "[null]", "7", "[NaN]")),
        *((raw(text), "on page 1 of its list: Invalid JSON") for text in ("", "[", '[{"type": "file"', "<p>", "[" * 100_000)),
        (lambda truth: Said(b"\xff\xfe["), "on page 1 of its list: Invalid JSON"),
        (lambda truth: Said(b'[{"type": "file", "path": "x", "size": 1e999}]'), "'size' of entry 1"),
    ],
)  # fmt: skip
def test_a_list_of_files(server: HubServer, root: Path, lie: Callable[[Any], Any], said: str) -> None:
    server.lies["tree"] = lambda entries: lie(entries) if entries[0]["path"] == "README.md" else entries
    refused(server, root, said)


def brought_honestly(server: HubServer, root: Path) -> None:
    """An earlier commit exists; the hub has a later one."""
    lies = dict(server.lies)
    server.lies.clear()
    brought(server, root)
    server.lies.update(lies)
    server.add("model", ID, LATER)


def test_what_is_there_is_kept(server: HubServer, root: Path) -> None:
    server.lies["tree"] = first(oid="../../x")
    brought_honestly(server, root)
    refused(server, root, DIGITS, update=True)
    (root / "models" / ID / "config.json").unlink()
    refused(server, root, DIGITS)
    server.lies.clear()
    brought(server, root)
    assert (root / "models" / ID / "config.json").read_bytes() == FILES["config.json"]


def test_what_git_allows_and_is_not_wanted_is_no_lie(server: HubServer, root: Path) -> None:
    """Names that some system cannot have matter only to those who need the file."""
    server.lies["tree"] = lambda page: [
        *page,
        *({"type": "directory", "path": path, "oid": SHA, "size": 0} for path in ("a", "..")),
    ]
    files = {
        **FILES,
        "aux/con.md": b"1",
        "a\\b.md": b"2",
        "a\nb.md": b"3",
        "x" * 300 + ".md": b"4",
        "con": b"5",
        "Config.json": b"6",
    }
    server.add("model", ID, files)
    assert set(brought(server, root).missing) == {"config.json", "tokenizer.json", WEIGHTS}


@pytest.mark.parametrize(
    "sha, said",
    [
        *(
            (sha, f"'sha' of the revision: {DIGITS}")
            for sha in ("../../x", "", "main", SHA[1:], SHA.upper(), SHA + "\n", SHA * 2)
        ),
        *((sha, "'sha' of the revision") for sha in (None, 7, [SHA])),
    ],
)
def test_a_commit(server: HubServer, root: Path, sha: Any, said: str) -> None:
    server.lies["revision"] = lambda truth: {**truth, "sha": sha}
    refused(server, root, said)


@pytest.mark.parametrize("text", ["[]", "null", '"x"', "{}", "{", "", '{"sha": {}}'])
def test_a_revision(server: HubServer, root: Path, text: str) -> None:
    server.lies["revision"] = raw(text)
    refused(server, root, "of the revision: ")


@pytest.mark.parametrize(
    "link, said",
    [
        ("http://127.0.0.1:9/api/models/x/tree/main", "continues its list elsewhere: http://127.0.0.1:9/api"),
        ("//elsewhere.example/x", "continues its list elsewhere"),
        ("file:///etc/passwd", "continues its list elsewhere"),
        ("http://127.0.0.1@elsewhere.example/", "continues its list elsewhere"),
        ("?recursive=true", "with an earlier page"),
        ("?recursive=true&cursor=0", "lists 'README.md' twice"),
        ("http://[", "model someone/model: "),
        ("?" + "x" * 5000, "continues its list elsewhere"),
    ],
)
def test_the_next_page(server: HubServer, root: Path, link: str, said: str) -> None:
    server.lies["link"] = lambda truth: link
    refused(server, root, said)


def test_pages_and_files_without_end(server: HubServer, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(10**9))
    server.lies["link"] = lambda truth: f"?recursive=true&cursor=0&page={next(numbers)}"
    server.lies["tree"] = lambda truth: []
    monkeypatch.setattr(hub_module, "PAGES", 20)
    refused(server, root, "lists its files on more than 20 pages")
    assert sum("/tree/" in path for path, _ in server.requests) == 20
    server.lies["tree"] = lambda truth: [{"type": "file", "path": f"{next(numbers)}", "size": 1, "oid": SHA} for _ in range(10)]
    monkeypatch.setattr(hub_module, "ENTRIES", 100)
    refused(server, root, "lists more than 100 files")


@pytest.mark.parametrize("what", ["revision", "tree"])
@pytest.mark.parametrize(
    "code, said", [(200, "answers with more than 0 MB of JSON"), (500, "answered 500: Internal"), (404, "answered 404")]
)
def test_an_answer_without_end(
    server: HubServer, root: Path, monkeypatch: pytest.MonkeyPatch, what: str, code: int, said: str
) -> None:
    monkeypatch.setattr(hub_module, "PAGE_BYTES", 1 << 18)
    server.lies[what] = lambda truth: Said(without_end(), code)
    refused(server, root, said)


@pytest.mark.parametrize(
    "answer, said",
    [
        (Said(b"{}", 401, {"X-Error-Message": "Invalid credentials in it"}), "answered 401: Invalid credentials in it (http"),
        (Said(b"{}", 400, {"X-Error-Message": "a\x1b[2Jb"}), "model someone/model: the hub"),
        (Said(b"[]", 400), "answered 400: Bad Request"),
        (Said(b"", 302, {"Location": "/api/models/someone/model/revision/main"}), "cannot be reached: Exceeded maximum"),
        (Said(b"", 302, {"Location": "file:///etc/passwd"}), "cannot be reached: "),
        (Said(b"", 302, {"Location": "http://["}), "cannot be reached: "),
        (Said(b"", 302), "answered 302"),
        (Said(b"", 304), "answered 304"),
        (Said(b"\x1f\x8b", 200, {"Content-Encoding": "gzip"}), "answers in an encoding that was not requested"),
        (Said(b"x", 200, {"Content-Length": "-1"}), "cannot be reached: "),
    ],
)  # fmt: skip
def test_other_answers(server: HubServer, root: Path, answer: Said, said: str) -> None:
    server.lies["revision"] = lambda truth: answer
    refused(server, root, said)


def test_the_command(server: HubServer, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
    server.lies["tree"] = first(oid="../../x")
    before = everything(root.parent)
    for words in ((), ("--dry-run",)):
        done = CliRunner().invoke(main, ["fetch", "--model", ID, "--into", str(root), *words])
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
        assert done.stderr.startswith(f"xdist: model {ID}: the hub ({server.url}) says what cannot be: 'oid' of entry 1 ")
    assert everything(root.parent) == before
    done = CliRunner().invoke(main, ["fetch", "--model", "someone/..", "--into", str(root)])
    assert (done.exit_code, done.stderr) == (2, "xdist: someone/..: is not a hub id (name or owner/name)\n")


# --- what is sent ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "lie, said",
    [
        (lambda truth: Said(without_end()), "sends more of model.safetensors than the 20,480 bytes that it lists"),
        (lambda truth: truth + b"x", "sends more of model.safetensors than the 20,480 bytes that it lists"),
        (lambda truth: Said(iter([truth, b"x"])), "sends more of model.safetensors than the 20,480 bytes that it lists"),
        (lambda truth: truth[:-1], "sends 20,479 bytes of model.safetensors, of which it lists 20,480"),
        (lambda truth: b"", "sends 0 bytes of model.safetensors, of which it lists 20,480"),
        (
            lambda truth: truth[:-1] + b"x",
            "model.safetensors: the file differs from what the hub lists (checksum); fetch again",
        ),
        (lambda truth: Said(truth, 200, {"Content-Encoding": "gzip"}), "answers in an encoding that was not requested"),
        (lambda truth: Said(without_end(), 404), "answered 404: Not Found"),
    ],
)
def test_a_file(server: HubServer, root: Path, lie: Callable[[bytes], Any], said: str) -> None:
    """Of a model that was complete before the old one is still there, until the new one has come."""
    brought_honestly(server, root)
    server.lies[WEIGHTS] = lie
    refused(server, root, said, update=True)
    folder = root / "models" / ID
    assert sum(path.stat().st_size for path in (folder / PARTIAL).iterdir()) <= sum(map(len, LATER.values()))
    assert resolved_of(run_of(root)).model.backbone == str(folder)
    assert brought(server, root, revision=read(folder).commit).done is False  # back to the existing commit
    assert not (folder / UNFINISHED).exists()
    refused(server, root, said, update=True)
    server.lies.clear()
    assert (folder / WEIGHTS).read_bytes() == FILES[WEIGHTS]
    brought(server, root)  # continues with what was started
    assert {name: (folder / name).read_bytes() for name in read(folder).files} == {
        name: LATER[name] for name in ("config.json", "tokenizer.json", WEIGHTS)
    }
    assert not (folder / PARTIAL).exists()


def test_a_new_folder_holds_no_model_until_all_of_it_has_come(server: HubServer, root: Path) -> None:
    server.lies[WEIGHTS] = lambda truth: Said(without_end())
    with pytest.raises(UserError, match="sends more"):
        brought(server, root)
    buffers = [Path(f"/proc/sys/net/ipv4/{name}").read_text().split()[2] for name in ("tcp_rmem", "tcp_wmem")]
    assert server.sent < sum(map(int, buffers)) + (1 << 20)  # what the system holds of a connection, read or not
    kept = [path.stat().st_size for path in (root / "models" / ID / PARTIAL).rglob("*") if path.is_file()]
    assert sum(kept) <= len(FILES[WEIGHTS])
    assert resolved_of(run_of(root)).model.backbone == ID
    assert sorted(path.name for path in (root / "models" / ID).iterdir()) == [
        PARTIAL,
        "config.json",
        UNFINISHED,
        "tokenizer.json",
    ]
    assert (root / "models" / ID / PARTIAL).is_dir()


@pytest.mark.parametrize(
    "answer, said",
    [
        (lambda truth: truth, None),  # ranges are not known: all of it comes
        (lambda truth: Said(truth, 206), "sends more of model.safetensors"),
        (lambda truth: Said(truth[:12_480], 206), "the file differs from what the hub lists"),
        (lambda truth: Said(truth[9000:], 206), "sends 19,480 bytes of model.safetensors"),
        (lambda truth: Said(b"", 416), "has no more than 8,000 bytes of a file that it lists as larger"),
    ],
)
def test_the_rest_of_a_file(server: HubServer, root: Path, answer: Callable[[bytes], Any], said: str | None) -> None:
    todo = plan(HubClient(server.url), root, parts.model(ID), None, False, False)
    partial = root / "models" / ID / PARTIAL / todo.missing[WEIGHTS].blob
    partial.parent.mkdir(parents=True)
    partial.write_bytes(FILES[WEIGHTS][:8000])
    server.lies[WEIGHTS] = answer
    if said:
        with pytest.raises(UserError, match=said):
            brought(server, root)
    server.lies.clear()
    brought(server, root)
    assert (root / "models" / ID / WEIGHTS).read_bytes() == FILES[WEIGHTS]


def test_files_of_one_content_come_once(server: HubServer, root: Path) -> None:
    for files in (FILES, LATER):
        server.add(
            "model", ID, {**files, HEADS: files[WEIGHTS], HEADS_INDEX: files["config.json"], "vocab.json": files["config.json"]}
        )
        server.requests.clear()
        brought(server, root, update=True)
        names = [path.rpartition("/")[2] for path, _ in server.requests if "/resolve/" in path and "/cdn/" not in path]
        assert len(names) == (3 if files is FILES else 2)
        folder = root / "models" / ID
        assert (folder / HEADS).read_bytes() == (folder / WEIGHTS).read_bytes() == files[WEIGHTS]
        assert (folder / HEADS_INDEX).read_bytes() == (folder / "vocab.json").read_bytes() == files["config.json"]


# --- what is on the disk -------------------------------------------------------------------------------------------------
def read(folder: Path) -> Lock:
    lock = read_lock(folder / LOCK)
    assert lock
    return lock


def run_of(root: Path) -> Run:
    train = {"tasks": [{"task": "xnli"}], "steps": 1}
    return Run.model_validate(
        {"name": "a", "folder": "a", "model": {"backbone": ID}, "data": {"root": str(root)}, "train": train}
    )


ENTRY = {"size": 1, "sha256": "0" * 64}


@pytest.mark.parametrize("name", [LOCK, UNFINISHED])
@pytest.mark.parametrize(
    "change",
    [
        *({"commit": commit} for commit in ("../../x", "main", "", SHA.upper(), SHA + "\n", 7, None)),
        *({"files": {path: ENTRY}} for path in ("../../../x", "/x", "../x", "a/../../x", "", ".", "a//b", "a\0b", "a\\b")),
        *({"files": {path: ENTRY}} for path in ("con", "a.", LOCK, "Fetched.json", UNFINISHED, PARTIAL, f"{PARTIAL}/x")),
        {"files": {"a": ENTRY, "a/b": ENTRY}},
        *({"files": {"x": {**ENTRY, "size": size}}} for size in (-1, 1.0, "1", True, None, 10**19)),
        *({"files": {"x": {**ENTRY, "sha256": digest}}} for digest in ("", "../x", SHA, "0" * 65, "G" * 64, None)),
        *({"files": files} for files in (None, [], "x", {"x": {}}, {"x": {**ENTRY, "more": 1}}, {"x": 7})),
        *({"parts": found} for found in (["../x"], ["weights", "x"], ["en/test"], "weights", [7], None)),
        *({"absent": found} for found in (["../x"], [None])),
        *({"id": id} for id in ("someone/else", "../x", "/x", "", None)),
        *({"kind": kind} for kind in ("dataset", "space", None)),
        {"more": 1},
        *(text for text in ("", "null", "[]", "{", "\\", "[" * 100_000, '{"files": ' * 5000)),
    ],
)  # fmt: skip
def test_a_damaged_lock(server: HubServer, root: Path, name: str, change: dict[str, Any] | str) -> None:
    folder = root / "models" / ID
    honest = Lock(id=ID, kind="model", revision="main", commit=SHA, parts=("config",), files={}).model_dump(mode="json")
    folder.mkdir(parents=True)
    (folder / name).write_text(change if isinstance(change, str) else json.dumps({**honest, **change}))
    before = everything(root.parent)
    for options in ({}, {"update": True}, {"verify": True}):
        refused(server, root, f"{folder / name}: is not what `xdist fetch` writes", **options)
    assert server.requests == []
    assert everything(root.parent) == before


def test_a_lock_that_leads_nowhere_is_no_model(root: Path) -> None:
    folder = root / "models" / ID
    folder.mkdir(parents=True)
    (folder / LOCK).write_text('{"files": {"../../x": {}}}')
    with pytest.raises(UserError, match=r"fetched.json: is not what `xdist fetch` writes; remove it and fetch again"):
        _ = resolved_of(run_of(root)).model
    for backbone in ("someone/..", "a/\0", "con", "..", "a\\..\\x"):
        run = run_of(root).model_copy(update={"model": run_of(root).model.model_copy(update={"backbone": backbone})})
        assert resolved_of(run).model.backbone == backbone


SET = Repository("dataset", "a/set", ("en/test",), frozenset({"en/test"}))


@pytest.mark.parametrize(
    "links", [{"en": "{out}"}, {"en/test": "{out}"}, {"en": "../../../../out"}, {"en": "../../../../none"}, {PARTIAL: "{out}"}]
)
def test_links_that_lead_out(server: HubServer, root: Path, links: dict[str, str]) -> None:
    server.add("dataset", "a/set", {"en/test/0.parquet": b"x", "de/test/0.parquet": b"y"})
    out = root.parent / "out"
    (out / "test").mkdir(parents=True)
    (out / "test" / "0.parquet").write_text("kept")
    (out / "0.parquet").write_text("kept")
    for name, target in links.items():
        link = root / "hub/a/set" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target.format(out=out))
    refused(server, root, "this link leads out of", repository=SET)
    assert not (root / "hub/a/set" / UNFINISHED).exists()


def test_links_are_followed_neither_to_write_nor_to_remove(server: HubServer, root: Path) -> None:
    """The folder itself may be elsewhere; a file of it that is a link is replaced, not what it names."""
    elsewhere, out = root.parent / "elsewhere", root.parent / "out.parquet"
    elsewhere.mkdir()
    out.write_text("kept")
    (root / "hub").symlink_to(elsewhere)
    (elsewhere / "a/set/en/test").mkdir(parents=True)
    folder = root / "hub/a/set"
    (folder / "en/test/0.parquet").symlink_to(out)
    server.add("dataset", "a/set", {"en/test/0.parquet": b"x"})
    todo = plan(HubClient(server.url), root, SET, None, False, False)
    (folder / PARTIAL).mkdir()
    (folder / PARTIAL / todo.missing["en/test/0.parquet"].blob).symlink_to(out)
    brought(server, root, repository=SET)
    assert (folder / "en/test/0.parquet").read_bytes() == b"x"
    assert not (folder / "en/test/0.parquet").is_symlink()
    # What a later commit no longer has is removed; a link in its way is not followed.
    server.add("dataset", "a/set", {"en/test-0.parquet": b"y"})
    (folder / "en/test/0.parquet").unlink()
    (folder / "en/test").rmdir()
    (folder / "en/test").symlink_to(root.parent)
    (root.parent / "0.parquet").write_text("kept")
    refused(server, root, "this link leads out of", repository=SET, update=True)
    assert out.read_text() == "kept"


def test_what_stands_in_the_way(server: HubServer, root: Path) -> None:
    server.add("dataset", "a/set", {"en/test/0.parquet": b"x"})
    folder = root / "hub/a/set"
    (folder / "en/test/0.parquet").mkdir(parents=True)
    refused(server, root, "0.parquet: is a folder, where a file of data set a/set must be", repository=SET)
    (folder / "en/test/0.parquet").rmdir()
    (folder / "en/test").rmdir()
    (folder / "en/test").write_text("kept")
    refused(server, root, "en/test: is no folder, where a folder of data set a/set must be", repository=SET)
    (folder / "en/test").unlink()
    (folder / "en/test").symlink_to("test")
    refused(server, root, "en/test: is no folder, where", repository=SET)
    (root / "models/someone/model").write_text("kept")
    refused(server, root, "model: is no folder, where a folder of model someone/model must be")


# --- the kinds of values ---------------------------------------------------------------------------------------------------
NAMES = st.sampled_from(["..", ".", "", "a", "A", "con", "nul.txt", "COM7", LOCK, PARTIAL, "C:", "~", " ", "a.", "x" * 256])
PATHS = st.lists(NAMES | st.text(max_size=4), min_size=1, max_size=4).map("/".join) | st.text()


@given(PATHS)
def test_a_path_that_is_taken_is_one_on_every_system(path: str) -> None:
    try:
        check_file_path(path)
    except ValueError:
        return
    base = "/base/folder"
    assert os.path.normpath(os.path.join(base, path)) == f"{base}/{path}"
    assert check_inside(path) == path
    assert path.encode().isascii() or path.isprintable()
    windows = PureWindowsPath(path)
    assert not windows.anchor
    assert windows.parts == tuple(path.split("/"))
    assert not any(PureWindowsPath(name).is_reserved() for name in windows.parts)
    assert windows.parts[0].lower() not in (LOCK, UNFINISHED, PARTIAL)


@given(st.lists(st.from_regex(r"[a-zA-Z0-9_ -]{0,9}[a-z0-9_-]{4}(\.[a-z]{2,7})?", fullmatch=True), min_size=1, max_size=4))
def test_plain_paths_are_taken(names: list[str]) -> None:
    assert check_file_path("/".join(names)) == "/".join(names)


@given(
    st.text(string.hexdigits + "/.\n", max_size=70) | st.text(string.hexdigits.lower(), min_size=39, max_size=65) | st.text()
)
def test_digests(text: str) -> None:
    taken = len(text) in (40, 64) and set(text) <= set("0123456789abcdef")
    try:
        assert TypeAdapter(Digest).validate_python(text) == text
        assert taken
    except ValidationError:
        assert not taken


@given(st.integers() | st.floats() | st.booleans() | st.text() | st.none())
def test_sizes(value: Any) -> None:
    taken = type(value) is int and 0 <= value <= 10**18
    try:
        assert TypeAdapter(Size).validate_python(value) == value
        assert taken
    except ValidationError:
        assert not taken


@given(st.lists(st.lists(st.sampled_from(["a", "b", "a-", "a.b"]), min_size=1, max_size=3).map("/".join)))
def test_file_and_folder(paths: list[str]) -> None:
    both = [path for path in paths if any(other.startswith(f"{path}/") for other in paths)]
    found = file_and_folder(paths)
    assert (found in both) if both else (found is None)
