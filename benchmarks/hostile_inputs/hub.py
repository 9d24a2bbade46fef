"""A hub that lies: refused in one line, and nothing outside the folder of the model is touched."""

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from hub_server import HubServer, Said, serving
from test_fetch_lies import FILES, ID, SHA, WEIGHTS, beside, brought, everything, first, raw

from hostile_inputs.changes import mutated
from hostile_inputs.judge import FREE, Generator, Input
from xdist.data.claims import LOCK

Lie = tuple[str, Callable[[Any], Any]]
DEEP = "[" * 50_000
LIES: dict[str, Lie] = {
    **{
        f"a path {path!r}": ("tree", first(path=path))
        for path in ("../x", "/x", "a/../../x", "", ".", "a\nb.json", "a\0", "x" * 5000)
    },
    **{f"an id {oid!r}": ("tree", first(oid=oid)) for oid in ("../../x", "", SHA[1:], SHA.upper(), 7, None)},
    **{f"a size {size!r}": ("tree", first(size=size)) for size in (-1, 1 << 70, "9", None, True, 1.5)},
    "an entry that is none": ("tree", lambda entries: [*entries, 3]),
    "no list": ("tree", lambda entries: {"entries": entries}),
    "a path twice": ("tree", lambda entries: [*entries, entries[0]]),
    "a file that is a folder, too": ("tree", beside("config.json/x.json")),
    "no JSON": ("tree", raw("<html>")),
    "too deep": ("tree", raw(DEEP)),
    "a number of 5000 digits": ("tree", raw("9" * 5000)),
    "not UTF-8": ("revision", lambda truth: Said(b'"\xff"')),
    "a commit that is none": ("revision", lambda truth: {**truth, "sha": "main"}),
    "no commit": ("revision", lambda truth: {}),
    "a list for a revision": ("revision", lambda truth: [truth]),
    "a page elsewhere": ("link", lambda truth: "http://127.0.0.2:9/elsewhere"),
    "the same page for ever": ("link", lambda truth: "same"),
    "another file": ("config.json", lambda content: bytes(len(content))),
    "a longer file": (WEIGHTS, lambda content: content + b"x"),
}


def lying() -> Generator:
    def generate(rng: Random, place: Path) -> Iterator[Input]:
        with serving() as server:
            server.add("model", ID, FILES)
            while True:
                for kind in ("", rng.choice(list(LIES)), FREE):
                    shutil.rmtree(place, ignore_errors=True)
                    (place / "root").mkdir(parents=True)
                    (place / "x").write_text("kept")
                    server.lies.clear()
                    server.requests.clear()
                    if kind == FREE:
                        what = rng.choice(["tree", "revision", *FILES])
                        server.lies[what] = partial(_mutated, Random(rng.random()))
                    elif kind:
                        what, lie = LIES[kind]
                        same = f"{server.url}/api/models/{ID}/tree/{SHA}?cursor=0"
                        server.lies[what] = (lambda truth, same=same: same) if kind == "the same page for ever" else lie
                    yield Input("lying hub", kind, partial(_fetched, server, place), None if kind == FREE else bool(kind))

    return generate


def _mutated(rng: Random, truth: Any) -> Any:
    return Said(mutated(rng, truth if isinstance(truth, bytes) else json.dumps(truth).encode()))


def _fetched(server: HubServer, place: Path) -> bool:
    """Whether all was fetched. Afterwards the folder has what the hub has; after a refused fetch it may have complete files,
    and no lock."""
    folder, whole = place / "root" / "models" / ID, False
    try:
        brought(server, place / "root")
        whole = True
        return True
    finally:
        found = everything(place)
        assert found.pop(str(place / "x")) == b"kept"
        assert (found.pop(str(folder / LOCK), None) is not None) == whole
        # A tree that was mutated may list other files, whose names and sums are the hub's to say.
        assert all(Path(path).is_relative_to(folder) for path in found)
        assert all(raw in FILES.values() for raw in found.values())


GENERATORS: dict[str, Generator] = {"lying hub": lying()}
