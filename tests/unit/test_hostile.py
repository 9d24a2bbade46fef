"""A slice of benchmarks/hostile.py: every reader, with inputs whose right verdict is known by how they were made."""

import sys
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from hostile_inputs.changes import TEXT
from hostile_inputs.files import FileReader, of_files
from hostile_inputs.generators import GENERATORS, READERS
from hostile_inputs.judge import TROUBLE, Input, judged, run

from xdist.errors import UserError

EACH = 6  # inputs of a reader: two rounds of a valid one, one with a fault, one with free mutations


@pytest.mark.parametrize("name", GENERATORS)
def test_every_verdict_is_right(tmp_path: Path, name: str) -> None:
    tally = run({name: GENERATORS[name]}, EACH, 1, tmp_path)
    assert tally.inputs.total() == EACH
    assert {kind: tally.trouble[kind].total() for kind in TROUBLE} == dict.fromkeys(TROUBLE, 0), tally.examples


def test_every_reader_has_faults() -> None:
    assert all(reader.faults for reader in READERS)
    assert len(READERS) > 25


def test_the_judge_sees_what_is_wrong(tmp_path: Path) -> None:
    def hangs() -> None:
        while True:
            pass

    def refuses(said: str) -> None:
        raise UserError(said)

    for one, trouble in (
        (Input("r", "f", lambda: 1 / 0, None), "tracebacks"),
        (Input("r", "f", hangs, None), "hangs"),
        (Input("r", "f", lambda: 1, True), "wrong"),
        (Input("r", "", lambda: refuses("no"), False), "wrong"),
        (Input("r", "", lambda: 1, False, right=lambda found: found == 2), "wrong"),
        (Input("r", "f", lambda: refuses("a.tsv:1: no"), True, "b.tsv"), "wrong"),
        (Input("r", "f", lambda: refuses(""), None), "wrong"),
        (Input("r", "f", lambda: refuses("a.tsv:1: no"), True, "a.tsv"), None),
        (Input("r", "", lambda: 2, False, right=lambda found: found == 2), None),
    ):
        assert judged(one, 0.2)[0] == trouble, one


def test_a_reader_that_takes_anything_is_found_out(tmp_path: Path) -> None:
    def valid(rng: Random) -> tuple[dict[str, bytes], object]:
        return {"a": b"text\n"}, lambda found: True

    reader = FileReader("any", valid, lambda place: (place / "a").read_bytes(), "a", TEXT)  # type: ignore[arg-type]
    tally = run({"any": of_files(reader)}, 30, 1, tmp_path)
    assert tally.trouble["wrong"].total() == 10
