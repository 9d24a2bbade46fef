"""The endpoints that huggingface_hub uploads through: who a token is of, making a repository, checking a card's front matter,
how each file is to come, large files by git's protocol for them (in one piece), and the commit, which is all or nothing."""

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

REGULAR = 4096  # of larger files, and of all that a hub takes for binary, git holds a pointer
BINARY = (".safetensors", ".model")


class Uploads:
    """Of a handler of requests; `hub` is the state of the server."""

    hub: Any
    commit_of: Any
    headers: Any
    path: str
    rfile: Any
    answer: Any

    @property
    def account(self) -> dict[str, Any] | None:
        return self.hub.accounts.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))

    def who(self) -> None:
        if self.account is None:
            self.answer(401, {"error": "Invalid user token."})
        else:
            self.answer(200, self.account)

    def information(self, id: str) -> None:
        files = self.files("model", id, "main")
        if files is not None:
            siblings = [{"rfilename": name} for name in sorted(files)]
            about = {"id": id, "modelId": id, "sha": self.commit_of(files), "private": id in self.hub.private}
            self.answer(200, {**about, "siblings": siblings, "tags": []})

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.posted.append(path)
        body = self.body()
        if self.account is None:
            self.answer(401, {"error": "Invalid credentials"})
            return
        for word, (code, message) in self.hub.refused.items():
            if word in path.split("/"):
                self.answer(code, {"error": message}, {"X-Error-Message": message})
                return
        if path == "/api/repos/create":
            self.create(json.loads(body))
        elif path == "/api/validate-yaml":
            self.validate(json.loads(body)["content"])
        elif found := re.fullmatch(r"/api/models/(.+)/preupload/(.+)", path):
            self.modes(*found.groups(), json.loads(body)["files"])
        elif re.fullmatch(r"/.+\.git/info/lfs/objects/batch", path):
            self.batch(json.loads(body)["objects"])
        elif path == "/lfs/verify":
            about = json.loads(body)
            self.answer(200 if len(self.hub.large.get(about["oid"], b"")) == about["size"] else 404, {})
        elif found := re.fullmatch(r"/api/models/(.+)/commit/(.+)", path):
            self.commit(*found.groups(), [json.loads(line) for line in body.splitlines()])
        else:
            self.answer(404, {})

    def do_PUT(self) -> None:
        path = urlsplit(self.path).path
        self.hub.posted.append(path)
        content, (oid,) = self.body(), re.fullmatch(r"/lfs/put/([0-9a-f]{64})", path).groups()  # type: ignore[union-attr]
        if "put" in self.hub.refused:
            code, message = self.hub.refused["put"]
            self.answer(code, {"error": message}, {"X-Error-Message": message})
        elif hashlib.sha256(content).hexdigest() != oid:
            self.answer(400, {"error": "other content than was announced"})
        else:
            self.hub.large[oid] = content
            self.answer(200, {})

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def create(self, asked: dict[str, Any]) -> None:
        owner = asked.get("organization") or self.account["name"]  # type: ignore[index]
        id = f"{owner}/{asked['name']}"
        if ("model", id) in self.hub.repositories:
            self.answer(409, {"error": "You already created this model repo"})
            return
        self.hub.add("model", id, {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})
        if asked.get("visibility") == "private" or asked.get("private"):
            self.hub.private.add(id)
        self.answer(200, {"url": f"{self.hub.url}/{id}", "name": id})

    def validate(self, content: str) -> None:
        """As strict as is known: front matter is YAML, a licence one word, a base model an id."""
        front = yaml.safe_load(content.split("---")[1]) or {}
        wrong = [f'"{key}" must be a string' for key in ("license",) if not isinstance(front.get(key, ""), str)]
        wrong += [f'"base_model" {one} is no id' for one in front.get("base_model", []) if one.startswith(("/", "."))]
        wrong += ['"language" must be text' for one in front.get("language", []) if not isinstance(one, str)]
        wrong += ['"license" must be one of [apache-2.0, mit, …]'] if front.get("license") == "no-such-licence" else []
        errors = [{"message": one} for one in wrong]
        self.answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def modes(self, id: str, revision: str, asked: list[dict[str, Any]]) -> None:
        files = self.files("model", id, revision)
        if files is None:
            return
        told = []
        for one in asked:
            large = one["size"] > REGULAR or one["path"].endswith(BINARY)
            content, oid = files.get(one["path"]), None
            if content is not None:
                in_git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
                oid = hashlib.sha256(content).hexdigest() if large else in_git
            mode = {"uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid}
            told.append({"path": one["path"], **mode})
        self.answer(200, {"files": told})

    def batch(self, objects: list[dict[str, Any]]) -> None:
        actions = {
            one["oid"]: {
                "upload": {"href": f"{self.hub.url}/lfs/put/{one['oid']}"},
                "verify": {"href": f"{self.hub.url}/lfs/verify"},
            }
            for one in objects
            if one["oid"] not in self.hub.large
        }
        told = [{**one, **({"actions": actions[one["oid"]]} if one["oid"] in actions else {})} for one in objects]
        self.answer(200, {"transfer": "basic", "objects": told})

    def commit(self, id: str, revision: str, lines: list[dict[str, Any]]) -> None:
        files = self.files("model", id, revision)
        if files is None:
            return
        new = dict(files)
        for line in lines:
            value = line["value"]
            if line["key"] == "header" and value.get("parentCommit", self.commit_of(files)) != self.commit_of(files):
                self.answer(412, {"error": "A commit has happened since. Please refresh and try again."})
                return
            if line["key"] == "file":
                new[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.large:
                    self.answer(400, {"error": f"LFS pointer of {value['path']} points to nothing"})
                    return
                new[value["path"]] = self.hub.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del new[value["path"]]
        commit = self.hub.add("model", id, new, revision)
        self.answer(200, {"commitUrl": f"{self.hub.url}/{id}/commit/{commit}", "commitOid": commit, "success": True})
