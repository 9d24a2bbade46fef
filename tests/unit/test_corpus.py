"""Text sources of every form: blocks lose no line, dirt is counted, damage is reported with its place."""

import gzip
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdist.errors import UserError
from xdist.formats.bitext import pairs
from xdist.formats.corpus import aligned, blocks, lines
from xdist.formats.disguised import refuse_disguised
from xdist.formats.sources import source_digest, sources
from xdist.tasks.catalog import task

TEXT = ("text",)
BOTH = ("text", "translation")


def read(path: Path, size: int = 1 << 20, fields: tuple[str, ...] = TEXT, **options: str) -> tuple[list[tuple], Counter]:
    counts: Counter[str] = Counter()
    found = [
        (line.number, line.text, line.new)
        for block in blocks(str(path), fields, size)
        for line in lines(block, fields, counts, **options)  # type: ignore[arg-type]
    ]
    return found, counts


def compressed(path: Path, data: bytes, ending: str) -> Path:
    path = Path(f"{path}{ending}")
    if ending == ".zst":
        with pa.CompressedOutputStream(str(path), "zstd") as stream:
            stream.write(data)
    else:
        path.write_bytes(gzip.compress(data) if ending else data)
    return path


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize("size", [16, 64, 1 << 20])
def test_every_line_once_whatever_the_block(tmp_path: Path, ending: str, size: int) -> None:
    written = [f"{number}" * (number % 5) for number in range(60)]
    path = compressed(tmp_path / "a.txt", "\n".join(written).encode(), ending)
    found, counts = read(path, size)
    assert [(number, text) for number, text, _ in found] == [(n, text) for n, text in enumerate(written, start=1) if text]
    assert counts["lines"] == 60
    assert counts["empty"] == 12


def is_text(data: bytes) -> bool:
    """Whether bytes may be taken for lines: they carry no mark of another form of file."""
    with suppress(UserError):
        refuse_disguised(data, "")
        return not data.startswith(b"\xef\xbb\xbf")
    return False


@given(st.binary(max_size=60).filter(is_text), st.integers(1, 20))
@settings(max_examples=60)
def test_blocks_hold_the_bytes_of_the_source(tmp_path_factory: pytest.TempPathFactory, data: bytes, size: int) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.txt"
    path.write_bytes(data)
    found = list(blocks(str(path), TEXT, size))
    left = b"".join(block.data for block in found)  # type: ignore[misc]
    longest = max(map(len, data.split(b"\n")))
    if longest < size:
        assert left == data
    assert sum(block.over_long for block in found) + left.count(b"\n") <= data.count(b"\n") + 1
    for block in (block for block in found if block.data):
        assert data[block.offset :].startswith(block.data)  # type: ignore[arg-type]
        assert block.line == data[: block.offset].count(b"\n") + 1


def test_documents_of_text_and_of_records(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\r\n\n\nthree\x07 \x85four\n", encoding="utf-8")
    found, counts = read(tmp_path / "a.txt")
    assert found == [(1, "one", True), (2, "two", False), (5, "three four", True)]
    assert counts == {"lines": 5, "empty": 2, "control": 3, "over_long": 0}
    (tmp_path / "a.jsonl").write_text('{"text": "one\\ntwo", "id": 1}\n{"text": "three"}\n')
    pq.write_table(pa.table({"text": ["one\ntwo", "three"]}), tmp_path / "a.parquet")
    (tmp_path / "b.tsv").write_text("one\tx\ntwo\n")
    for name in ("a.jsonl", "a.parquet"):
        assert read(tmp_path / name)[0] == [(1, "one", True), (1, "two", False), (2, "three", True)]
    assert read(tmp_path / "b.tsv")[0] == [(1, "one", True), (2, "two", True)]


@pytest.mark.parametrize("name", ["a.tsv", "a.jsonl", "a.parquet"])
def test_parallel_text(tmp_path: Path, name: str) -> None:
    rows = [{"text": "habari", "translation": "news"}, {"text": "a", "translation": " "}]
    if name.endswith("tsv"):
        (tmp_path / name).write_text("".join("\t".join(row.values()) + "\n" for row in rows))
    elif name.endswith("jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    counts: Counter[str] = Counter()
    found = [line for block in blocks(str(tmp_path / name), BOTH) for line in lines(block, BOTH, counts)]
    assert [(line.text, line.translation) for line in found] == [("habari", "news")]
    assert counts["empty"] == 1


def test_two_files_of_parallel_text(tmp_path: Path) -> None:
    first, second = tmp_path / "a.sw", tmp_path / "a.en"
    first.write_text("moja\nmbili\n")
    second.write_text("one\ntwo\n")
    assert [(line.text, line.translation) for line in aligned(first, second)] == [("moja", "one"), ("mbili", "two")]
    second.write_text("one\n")
    with pytest.raises(UserError, match=r"a\.en: 1 lines, but .* has more"):
        list(aligned(first, second))
    with pytest.raises(UserError, match="has more: the files are not parallel"):
        list(aligned(second, first))


def test_a_line_longer_than_a_block_is_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n" + "x" * 500 + "\ntwo\n" + "y" * 90 + "\nthree")
    found, counts = read(tmp_path / "a.txt", 32)
    assert found == [(1, "one", True), (3, "two", True), (5, "three", True)]
    assert counts["over_long"] == 2


def test_files_that_are_not_the_users_are_no_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What notebooks, file managers and sync programs leave; and every sign in a path is a letter."""
    root = tmp_path / "corp [v2] *?"
    for name in (
        "sw/a.txt",
        "sw/.ipynb_checkpoints/a.txt",
        "sw/._a.txt",
        "sw/deep/.trash/b.txt",
        "de.txt",
        "de.d/a.txt",
        ".fr.txt",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("habari\n")
    assert sources(root, "sw") == [f"{root}/sw/a.txt"]
    assert sources(root, "de") == [f"{root}/de.txt"]
    assert sources(root, "de.txt") == [f"{root}/de.txt"]
    assert sources(root, "d*") == sources(root, "fr") == sources(tmp_path / "nowhere", "sw") == []
    assert read(root / "de.txt")[0] == [(1, "habari", True)]
    assert source_digest(f"{root}/de.txt") == source_digest(f"{root}/sw/a.txt")
    monkeypatch.chdir(tmp_path)
    for name in ("sw", "de", "de.txt"):
        assert sources(Path(root.name), name) == sources(root, name) != []
    hidden = tmp_path / ".data"  # a root may be hidden: what is below it counts
    (hidden / "sw").mkdir(parents=True)
    (hidden / "sw/a.txt").write_text("habari\n")
    assert sources(hidden, "sw") == [f"{hidden}/sw/a.txt"]


def damaged_parquet(path: Path, rows: int = 4000, group: int = 1000) -> None:
    """Four row groups, of which the second has a page that was overwritten."""
    texts = [f"row {number} " + "x" * (number % 50) for number in range(rows)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=group, compression="snappy", use_dictionary=False)
    place = pq.ParquetFile(path).metadata.row_group(1).column(0)
    content = bytearray(path.read_bytes())
    middle = place.data_page_offset + place.total_compressed_size // 2
    content[middle : middle + 400] = b"\xff" * 400
    path.write_bytes(content)


def test_a_damaged_page_is_told_with_its_row_and_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    damaged_parquet(path)
    with pytest.raises(UserError, match=r"a\.parquet:1001: damaged: "):
        read(path)
    for size in (1 << 20, 5000):
        found, counts = read(path, size, on_bad="skip")
        assert [number for number, _, _ in found] == [*range(1, 1001), *range(2001, 4001)]
        assert (counts["lines"], counts["bad"]) == (4000, 1000)


def test_texts_of_records_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    raw = pa.array([b"good", b"b\xffd", None, "też".encode()])
    pq.write_table(pa.table({"text": raw.view(pa.string())}), path)
    with pytest.raises(UserError, match=r"a\.parquet:2: column 'text' holds bytes that are not UTF-8$"):
        read(path)
    found, counts = read(path, on_bad="skip")
    assert [text for _, text, _ in found] == ["good", "też"]
    assert counts["bad"] == 2


BROKEN = {
    "c.jsonl": (b'{"text": "a"}\n{"text": "\\ud83d"}\n', r"c\.jsonl:2: not text: half a surrogate pair"),
    "d.jsonl": (b'{"text": "a"}\n' + b"[" * 200_000 + b"\n", r"d\.jsonl:2: not JSON that can be read: too many brackets"),
    "e.jsonl": (b'{"text": "a"}\n{"n": 1' + b"0" * 5000 + b"}\n", r"e\.jsonl:2: .* an integer of more than 40 digits"),
    "f.jsonl": (b'{"text": "a"}\n["a"]\n', r"f\.jsonl:2: expected an object with field 'text', found list"),
    "g.jsonl": (b'{"text": "a"}\n{"text": ["a"]}\n', r"g\.jsonl:2: field 'text' must be str, found list$"),
    "a.txt": (b"good\nb\xffd\n", r"a\.txt:2: not UTF-8: byte 0xff at offset 6 of the text"),
    "a.jsonl": (b'{"text": "a"}\n{"text": \n', r"a\.jsonl:2: not JSON: .* at column"),
    "b.jsonl": (b'{"text": "a"}\n{"txt": "a"}\n', r"b\.jsonl:2: no field 'text'; nearest: 'txt'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line_is_told_or_skipped(tmp_path: Path, name: str) -> None:
    data, message = BROKEN[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message):
        read(tmp_path / name)
    found, counts = read(tmp_path / name, on_bad="skip")
    assert len(found) == 1
    assert counts["bad"] == 1


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_truncated_stream_is_told_with_its_place(tmp_path: Path, ending: str) -> None:
    path = compressed(tmp_path / "a.txt", "".join(f"line {number}\n" for number in range(9000)).encode(), ending)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=rf"a\.txt\{ending}:\d+: cannot be read after byte \d+: "):
        read(path, 1024)


def test_what_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match=r"a\.parquet:1: not a Parquet file"):
        read(tmp_path / "a.parquet")
    pq.write_table(pa.table({"txt": ["a"]}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match="no column 'text'; nearest: 'txt'"):
        read(tmp_path / "b.parquet")
    with pytest.raises(UserError, match="not a source of text"):
        read(tmp_path / "a.csv")
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "c.txt")


def test_a_file_a_folder_or_an_address(tmp_path: Path) -> None:
    for name in ("sw.jsonl.gz", "sw.md", "yo/b.txt", "yo/a.parquet", "yo/deep/c.tsv.zst"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert sources(tmp_path, "sw") == [f"{tmp_path}/sw.jsonl.gz"]
    assert sources(tmp_path, "yo") == [f"{tmp_path}/yo/{name}" for name in ("a.parquet", "b.txt", "deep/c.tsv.zst")]
    assert sources(tmp_path, "qu") == []
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/corpus/wo.txt", b"mbir\n")
    assert sources(tmp_path, "memory://corpus/wo") == ["memory:///corpus/wo.txt"]
    assert [block.data for block in blocks("memory:///corpus/wo.txt", TEXT)] == [b"mbir\n"]


def test_an_address_that_cannot_be_looked_at_is_one_line(tmp_path: Path) -> None:
    import fsspec

    fsspec.register_implementation("lake", "no_such_library.Lake", errtxt="Install no_such_library to access the lake")
    with pytest.raises(UserError, match=r"^lake://corpus/wo: cannot be opened: Install no_such_library to access the lake$"):
        sources(tmp_path, "lake://corpus/wo")
    with pytest.raises(UserError, match=r"^pond://corpus/wo: cannot be opened: Protocol not known: pond$"):
        sources(tmp_path, "pond://corpus/wo")


def test_the_digest_follows_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one" * 100_000)
    first = source_digest(str(path))
    copy = tmp_path / "b.txt"
    copy.write_bytes(b"one" * 100_000)
    assert source_digest(str(copy)) == first
    copy.write_bytes(b"one" * 99_999 + b"two")
    assert source_digest(str(copy)) != first
    monkeypatch.setattr("xdist.formats.sources.DIGESTED_WHOLE", 1000)
    sampled = source_digest(str(path))
    assert sampled != first
    path.write_bytes(b"one" * 100_001)
    assert source_digest(str(path)) != sampled


TMX = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header/><body>
<tu><tuv xml:lang="en"><seg>one</seg></tuv><tuv xml:lang="yo"><seg>o<ph>k</ph>an</seg></tuv></tu>
<tu><tuv xml:lang="yo"><seg>alone</seg></tuv></tu>
<tu><tuv xml:lang="yo-NG"><seg>meji</seg></tuv><tuv xml:lang="en-GB"><seg>two</seg></tuv></tu>
</body></tmx>
"""
FORMS = {
    "moses": {"A.en-yo.yo": "okan\nmeji\n", "A.en-yo.en": "one\ntwo\n", "A.en-yo.ids": "x\n", "README": "text"},
    "challenge": {"train.src.gz": "one\ntwo\n", "train.trg.gz": "okan\nmeji\n", "train.id.gz": "A\teng\tyor\nA\teng\tyor\n"},
    "turned": {"train.src.gz": "okan\nmeji\n", "train.trg.gz": "one\ntwo\n", "train.id.gz": "A\tyor\teng\nA\tyor\teng\n"},
    "no ids": {"train.src": "one\ntwo\n", "train.trg": "okan\nmeji"},
    "tmx": {"A.tmx": TMX},
    "tmx packed": {"A.tmx.gz": TMX},
}


def laid(root: Path, files: Mapping[str, str]) -> Path:
    folder = root / "parallel" / "yo-en"
    folder.mkdir(parents=True)
    for name, text in files.items():
        content = text.encode()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder


@pytest.mark.parametrize("form", sorted(FORMS))
def test_parallel_text_in_the_forms_of_opus(tmp_path: Path, form: str) -> None:
    """The other language first, English second; prepared by all files, not by half of them."""
    folder, entry = laid(tmp_path, FORMS[form]), task("parallel")
    found = [(line.text, line.translation) for line in entry.examples(tmp_path, "train", "yo")]
    assert found == [("okan", "one"), ("meji", "two")]
    (source,) = entry.sources(tmp_path, "train", "yo")
    assert next(iter(blocks(source, entry.fields, 4))).data == [("okan", "one")], "in blocks, of which workers make shards"
    parts = {path.name for path in entry.paths(tmp_path, "train", "yo")}
    assert parts == {name for name in FORMS[form] if not name.endswith(("ids", "README"))}
    assert sources(tmp_path, str(folder.relative_to(tmp_path))) == [], "of one text these are no sources"


@pytest.mark.parametrize("code", ["en", "EN", "en-US", "en_US", "en-us", "eng_Latn"])
def test_english_of_a_tmx_is_known_by_any_code(tmp_path: Path, code: str) -> None:
    variants = (f"<tuv xml:lang='{one}'><seg>{text}</seg></tuv>" for one, text in ((code, "one"), ("yor_Latn", "okan")))
    laid(tmp_path, {"A.tmx": f"<tmx><body><tu>{''.join(variants)}</tu></body></tmx>"})
    assert [(line.text, line.translation) for line in task("parallel").examples(tmp_path, "train", "yo")] == [("okan", "one")]


@pytest.mark.parametrize(
    ("first", "second", "turned"),
    [("eng", "enm", True), ("enm", "eng", False), ("eng_Latn", "yor", True), ("enq", "eng", False)],
)
def test_the_side_that_is_english_is_known_by_its_whole_code(tmp_path: Path, first: str, second: str, turned: bool) -> None:
    folder = laid(tmp_path, {"train.src": "a\n", "train.trg": "b\n", "train.id": f"x\ty\t{first}\t{second}\n"})
    assert list(pairs(str(folder / "train.src"))) == [(1, ("b", "a") if turned else ("a", "b"))]


@pytest.mark.parametrize(
    "files, message",
    [
        ({"A.en-yo.yo": "okan\nmeji\n", "A.en-yo.en": "one\n"}, r"A.en-yo.en: 1 lines, but the other file has more"),
        ({"A.tmx": TMX[:300]}, r"A.tmx: unit \d: cannot be read"),
        ({"A.en-yo.yo": "okan\n"}, r"no such file"),
    ],
)
def test_parallel_text_that_is_broken(tmp_path: Path, files: dict[str, str], message: str) -> None:
    laid(tmp_path, files)
    with pytest.raises(UserError, match=message):
        list(task("parallel").examples(tmp_path, "train", "yo"))


def test_a_line_of_a_pair_that_is_no_utf8_is_told(tmp_path: Path) -> None:
    folder = laid(tmp_path, {"A.en-yo.yo": "okan\n", "A.en-yo.en": "one\n"})
    (folder / "A.en-yo.yo").write_bytes(b"ok\xffan\n")
    with pytest.raises(UserError, match=r"A.en-yo.yo:1: column 'text' holds bytes that are not UTF-8"):
        list(task("parallel").examples(tmp_path, "train", "yo"))
