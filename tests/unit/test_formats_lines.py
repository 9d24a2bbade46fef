"""Strict reading of text and JSON: every fault is one line that names file, line and byte."""

from pathlib import Path

import pytest

from xdist.errors import UserError
from xdist.formats.lines import field, read_json, read_jsonl, read_lines


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffeins\r\nzw\u2028ei\u0085\n\n \ufeffdrei\rvier".encode())
    assert list(read_lines(path)) == [(1, "eins"), (2, "zw\u2028ei\u0085"), (3, ""), (4, " \ufeffdrei\rvier")]


def test_an_undecodable_byte_is_named_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("กา\nok\nx\xff".encode()[:-2] + b"\xffy\n")
    with pytest.raises(UserError) as error:
        list(read_lines(path))
    assert str(error.value) == f"{path}:3: not UTF-8: byte 0xff at offset 11 of the file"
    path.write_bytes(b'{\n"a": "\xc3("}')
    with pytest.raises(UserError) as error:
        read_json(path)
    assert str(error.value) == f"{path}:2: not UTF-8: byte 0xc3 at offset 8 of the file"


def test_a_missing_file_names_its_nearest_neighbour(tmp_path: Path) -> None:
    (tmp_path / "dev-sw.tsv").touch()
    with pytest.raises(UserError, match=r"dev-sv.tsv: no such file; nearest: 'dev-sw.tsv'$"):
        list(read_lines(tmp_path / "dev-sv.tsv"))
    with pytest.raises(UserError, match=r"nowhere.dev.tsv: no such file$"):
        list(read_lines(tmp_path / "nowhere" / "dev.tsv"))
    with pytest.raises(UserError, match="is a folder"):
        list(read_lines(tmp_path))


def test_broken_json_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"data": [\n  {"x": 1,}\n]}')
    with pytest.raises(UserError, match=r"a.json:2: not JSON: .* at column 1\d$"):
        read_json(path)
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a": }\n')
    with pytest.raises(UserError, match=r"a.jsonl:2: not JSON: Expecting value at column 7$"):
        list(read_jsonl(path))
    path.write_text('{"a": 1}\n[1]\n')
    with pytest.raises(UserError, match=r"a.jsonl:2: expected a JSON object, found list$"):
        list(read_jsonl(path))


def test_fields_are_checked() -> None:
    assert field({"label": 1}, "label", int, "f:1") == 1
    with pytest.raises(UserError, match=r"^f:1: no field 'premise'; nearest: 'premis' \(found: premis, label\)$"):
        field({"premis": "x", "label": 1}, "premise", str, "f:1")
    with pytest.raises(UserError, match=r"^f:1: field 'label' must be int, found bool True$"):
        field({"label": True}, "label", int, "f:1")
    with pytest.raises(UserError, match=r"^f:1: field 'label' must be int, found str '1'$"):
        field({"label": "1"}, "label", int, "f:1")
