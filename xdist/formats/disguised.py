"""What is under the name of a data file and is something else: pointers and pages that a download left, packed files.

Found by their first bytes, before a reader takes them for lines of text.
"""

import re

from xdist.errors import UserError, shown

LOOKED_AT = 512  # bytes at the beginning of a file
ZEROS = 64  # this many zero bytes are no text

_POINTER = (b"version https://git-lfs.github.com/", b"/annex/objects/", b"../.git/annex/")
_PAGE = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")
# What GitHub, the hub and others send instead of a file, as its complete content.
_REFUSAL = re.compile(
    rb"(error:? *)?([45]\d\d[:. ]*)?(not found|(entry|repository|file|page) not found|forbidden|unauthorized|access denied"
    rb"|bad gateway|service unavailable|too many requests|internal server error|invalid (credentials|username or password)"
    rb"|access to (dataset|model) .*)[.!]?"
)
_PACKED = {
    b"\x1f\x8b": "packed by gzip",
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"BZh91AY&SY": "packed by bzip2",
    b"\xfd7zXZ\x00": "packed by xz",
    b"PAR1\x15": "a Parquet file",
    b"ARROW1\x00": "an Arrow file",
    b"%PDF-": "a PDF",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3\x00": "a database",
}


def refuse_disguised(begin: bytes, place: object, packed: bool = False) -> None:
    """Raises UserError, starting with `place`, where a file that begins so is no text; a short file is checked completely.
    Where it should be `packed`, it may be that."""
    words = begin[:LOOKED_AT].removeprefix(b"\xef\xbb\xbf").strip().lower()
    first = shown(words.partition(b"\n")[0].decode("utf-8", "replace"))
    if words.startswith(_POINTER):
        raise UserError(f"{place}:1: is a Git LFS pointer, not the file: {first}; run `git lfs pull` where it was cloned")
    if words.startswith(_PAGE):
        raise UserError(f"{place}:1: is a web page (HTML or XML), not the file: {first}; download it again")
    if len(begin) <= LOOKED_AT and _REFUSAL.fullmatch(words):
        raise UserError(f"{place}:1: is the answer of a server, not the file: {first}; download it again")
    if len(begin) >= ZEROS and not begin[:LOOKED_AT].strip(b"\0"):
        raise UserError(f"{place}:1: begins with zero bytes, as an incomplete file does; download it again")
    for mark, what in () if packed else _PACKED.items():
        if begin.startswith(mark):
            raise UserError(f"{place}: is {what}, not a text: unpack or convert it first")
