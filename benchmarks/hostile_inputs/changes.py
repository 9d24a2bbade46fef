"""Changes to the bytes of a file: faults with a name, which every reader of text has to refuse, and free mutations."""

import json
from collections.abc import Callable, Mapping
from random import Random

Change = Callable[[Random, bytes], bytes]

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>404</title></head>\n<body>Not Found</body></html>\n"
ALPHABETS = (
    "abcxyz",
    "äöüß",
    "абвгд",
    "αβγδ",
    "ابجد",
    "अआइई",
    "ひらがな",
    "漢字学校",
    "กขคง",
    "한국어",
    "אבגד",
    "😀🎉",
    "\u0301e",
    "-.,'",
)
PIECES = (
    *(
        b"\xff",
        b"\xed\xa0\xbd",
        b"\x00",
        b"\r",
        b"\n",
        b"\n\n",
        b"\t",
        b"\t\t",
        b'"',
        b"'",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b" ",
    ),
    *(
        b"\\ud83d",
        b"\\u0000",
        b"NaN",
        b"Infinity",
        b"-1",
        b"1e999",
        b"true",
        b"null",
        b"0",
        b"9" * 5000,
        b"[" * 30_000,
        b"{" * 200,
    ),
    *(
        b'{"a":' * 20_000,
        b"\xef\xbb\xbf",
        "\u0085".encode(),
        "\u2028".encode(),
        b"*a",
        b"&a ",
        b"<<: ",
        b"!!bool ",
        b"- ",
        b"\x1b[2J",
        b"%",
    ),
)


def phrase(rng: Random, words: int = 4) -> str:
    """Words of one or more scripts, with nothing that ends a line or a column."""
    return " ".join(word(rng) for _ in range(rng.randint(1, words)))


def word(rng: Random) -> str:
    letters = rng.choice(ALPHABETS)
    return "".join(rng.choice(letters) for _ in range(rng.randint(1, 8))).strip("\u0301") or "x"


def inserted(piece: bytes) -> Change:
    def change(rng: Random, raw: bytes) -> bytes:
        at = rng.randrange(len(raw) + 1)
        return raw[:at] + piece + raw[at:]

    return change


def other(content: bytes) -> Change:
    return lambda rng, raw: content


def a_line(change: Callable[[Random, str], str]) -> Change:
    """The change of one line that is not blank."""

    def changed(rng: Random, raw: bytes) -> bytes:
        lines = raw.decode().removesuffix("\n").split("\n")
        at = rng.choice([number for number, line in enumerate(lines) if line])
        lines[at] = change(rng, lines[at])
        return ("\n".join(lines) + "\n").encode()

    return changed


def every_line(change: Callable[[str], str]) -> Change:
    return lambda rng, raw: "".join(change(line) + "\n" if line else "\n" for line in raw.decode().splitlines()).encode()


def json_line(change: Callable[[Random, dict], object]) -> Change:
    """The change of the object in one line, or of the object that the file is."""

    def changed(rng: Random, line: str) -> str:
        record = json.loads(line)
        found = change(rng, record)
        return found if isinstance(found, str) else json.dumps(record if found is None else found, ensure_ascii=False)

    return a_line(changed)


TEXT: Mapping[str, Change] = {
    "not UTF-8": inserted(b"\xff"),
    "half a surrogate pair as bytes": inserted(b"\xed\xa0\xbd"),
    "empty": other(b""),
    "Git LFS pointer": other(LFS),
    "HTML": other(PAGE),
}


def mutated(rng: Random, raw: bytes) -> bytes:
    """One to four changes at random places."""
    for _ in range(rng.randint(1, 4)):
        at, length = rng.randrange(len(raw) + 1), min(int(rng.expovariate(0.1)) + 1, 2000)
        match rng.randrange(7):
            case 0:
                raw = raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1 :]
            case 1:
                raw = raw[:at] + raw[at + length :]
            case 2:
                raw = raw[:at] + raw[at : at + length] * 2 + raw[at + length :]
            case 3:
                raw = raw[:at]
            case 4:
                lines = raw.split(b"\n")
                rng.shuffle(lines)
                raw = b"\n".join(lines)
            case _:
                raw = raw[:at] + rng.choice(PIECES) + raw[at + rng.choice((0, 0, 1, length)) :]
    return raw[: 1 << 20]
