"""The part of the hub's HTTP interface that fetching and pushing use, served from memory on this machine: repository
information, paged tree listings, files with ranges and redirects, uploads (hub_uploads.py), refusals with the hub's error
codes. It can be made to lie."""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hub_uploads import Uploads

# Larger files are kept as git keeps large files: the tree names their SHA-256, the file itself comes from another address.
LARGE = 4096
PAGE = 3


@dataclass
class Said:
    """An answer. `body` is JSON, bytes, or an iterator of bytes that need not end; `headers` come after those of an honest hub
    and replace them; without a `Content-Length` the body continues until the connection ends."""

    body: Any = b""
    code: int = 200
    headers: dict[str, str | None] = field(default_factory=dict)


def without_end() -> Iterator[bytes]:
    return repeat(b" " * (1 << 14))


@dataclass
class HubServer:
    """`repositories[kind, id][revision]` holds the files of a branch. `drop[path]`: this many bytes are sent, once, before the
    connection ends; `broken`: paths answered with 503; `corrupt`: paths whose bytes are not the listed ones;
    `claimed`: sizes that are listed instead of the real ones. `lies`: what is said instead of the truth, which it gets, as
    "revision" (its JSON), "tree" (the entries of a page), "link" (the address of the next page, or None), or instead of a file
    of that name (its content); `sent`: the bytes of all bodies. `accounts`: by token the answer to who that is; `private`: ids
    of repositories that only they see; `refused`: by a word of an address that is sent to, the answer's status and message;
    `large`: uploaded content by its SHA-256; `posted`: addresses that something was sent to."""

    url: str = ""
    repositories: dict[tuple[str, str], dict[str, dict[str, bytes]]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    drop: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    corrupt: set[str] = field(default_factory=set)
    claimed: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    lies: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    sent: int = 0
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    posted: list[str] = field(default_factory=list)

    def add(self, kind: str, id: str, files: dict[str, bytes], revision: str = "main") -> str:
        """Put files on a branch; gives its commit. Earlier commits stay."""
        branches = self.repositories.setdefault((kind, id), {})
        branches[revision] = branches[commit := commit_of(files)] = files
        return commit

    def add_folder(self, id: str, folder: Path) -> str:
        return self.add("model", id, {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})


def commit_of(files: dict[str, bytes]) -> str:
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


def listed(path: str, content: bytes) -> dict[str, object]:
    sha256 = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(content)}\n".encode()
    in_git = pointer if len(content) > LARGE else content
    entry = {"type": "file", "path": path, "size": len(content)}
    entry["oid"] = hashlib.sha1(b"blob %d\0" % len(in_git) + in_git).hexdigest()
    if len(content) > LARGE:
        entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": len(pointer)}
    return entry


@contextmanager
def serving() -> Iterator[HubServer]:
    state = HubServer()

    class Handler(Uploads, BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        hub, commit_of = state, staticmethod(commit_of)

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            path = unquote(url.path)
            state.requests.append((path, self.headers.get("Range")))
            if path == "/api/whoami-v2":
                self.who()
            elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)", path):
                self.information(found[1])
            elif found := re.fullmatch(r"/api/(model|dataset)s/(.+)/(revision|tree)/(.+)", path):
                kind, id, what, revision = found.groups()
                files = self.files(kind, id, revision)
                if files is None:
                    return
                if what == "revision":
                    self.say("revision", {"id": id, "sha": commit_of(files), "siblings": []})
                    return
                begin = int(parse_qs(url.query).get("cursor", ["0"])[0])
                entries = [
                    {**listed(name, content), **({"size": state.claimed[name]} if name in state.claimed else {})}
                    for name, content in sorted(files.items())
                ]
                following = f"{state.url}{url.path}?recursive=true&cursor={begin + PAGE}"
                link = state.lies.get("link", lambda truth: truth)(following if begin + PAGE < len(entries) else None)
                self.say("tree", entries[begin : begin + PAGE], {"Link": f'<{link}>; rel="next"'} if link else {})
            elif found := re.fullmatch(r"/cdn(/datasets)?/(.+)/resolve/([^/]+)/(.+)", path):
                kind, id, revision, name = "dataset" if found[1] else "model", *found.groups()[1:]
                self.send(name, state.repositories[kind, id][revision][name])
            elif found := re.fullmatch(r"(/datasets)?/(.+)/resolve/([^/]+)/(.+)", path):
                kind, id, revision, name = "dataset" if found[1] else "model", *found.groups()[1:]
                files = self.files(kind, id, revision)
                if files is None:
                    return
                if name not in files:
                    self.answer(404, {}, {"X-Error-Code": "EntryNotFound"})
                elif len(files[name]) > LARGE:
                    self.answer(302, {}, {"Location": f"{state.url}/cdn{path}"})
                else:
                    self.send(name, files[name])
            else:
                self.answer(404, {})

        def files(self, kind: str, id: str, revision: str) -> dict[str, bytes] | None:
            if (kind, id) not in state.repositories or (id in state.private and self.account is None):
                self.answer(404, {}, {"X-Error-Code": "RepoNotFound"})
            elif id in state.gated:
                self.answer(403, {}, {"X-Error-Code": "GatedRepo"})
            elif revision not in state.repositories[kind, id]:
                self.answer(404, {}, {"X-Error-Code": "RevisionNotFound"})
            else:
                return state.repositories[kind, id][revision]
            return None

        def say(self, what: str, truth: object, headers: dict[str, str | None] | None = None) -> None:
            said = state.lies.get(what, lambda truth: truth)(truth)
            if not isinstance(said, Said):
                said = Said(said)
            said.headers = {**(headers or {}), **said.headers}
            if isinstance(said.body, Iterator):
                self.stream(said)
            else:
                body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
                self.stream(Said(iter([body]), said.code, {"Content-Length": str(len(body)), **said.headers}))

        def stream(self, said: Said) -> None:
            self.send_response(said.code)
            for name, text in {**said.headers, "Connection": "close"}.items():
                if text is not None:
                    self.send_header(name, text)
            self.end_headers()
            with suppress(ConnectionError):
                for part in said.body:
                    self.wfile.write(part)
                    state.sent += len(part)

        def send(self, name: str, content: bytes) -> None:
            if name in state.lies:
                self.say(name, content)
                return
            if name in state.broken:
                self.answer(503, {})
                return
            if name in state.corrupt:
                content = bytes(len(content))
            begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(content) - begin))
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            end = state.drop.pop(name, len(content))
            self.wfile.write(content[begin:end])
            self.close_connection = end < len(content)

        def answer(self, code: int, value: object, headers: dict[str, str] | None = None) -> None:
            body = json.dumps(value).encode()
            self.send_response(code)
            for name, text in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
