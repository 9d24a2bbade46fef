"""YAML as xdist reads it, from files and from overrides: mappings, lists and scalars, and the line of each.

Built from the parser's events, so that depth and number of values are bounded before anything is made of them: a few lines of
aliases may stand for a billion values. Keys are text as it is written.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from xdist.config.scalars import Scalar, quoted, tagged, unquoted

KeyPath = tuple[str | int, ...]

CHARACTERS = 1_000_000
DEPTH = 50
VALUES = 100_000
MERGE = unquoted("<<")  # this very one: quoted it is a key like others
TAG = "tag:yaml.org,2002:"
COLLECTIONS = {"map", "seq"}
HALF = re.compile(r"[\ud800-\udfff]")


class Unreadable(Exception):
    """Why a text cannot be read, and its line, counted from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class YamlNode:
    """A scalar, a list, or a mapping as its pairs; how many values there are in it, and how deep it is."""

    line: int
    scalar: Scalar | None = None
    items: list["YamlNode"] | None = None
    pairs: list[tuple["YamlNode", "YamlNode"]] | None = None
    size: int = 1
    depth: int = 1
    waiting: "YamlNode | None" = field(default=None, repr=False)  # a key whose value is still to come

    def take(self, part: "YamlNode") -> None:
        """The next item, key or value."""
        if self.items is not None:
            self.items.append(part)
        elif self.waiting is None:
            if part.scalar is None:  # as in 'folder: {{ place }}'
                raise Unreadable(part.line, "a key is one word; quote a value that has braces")
            self.waiting = part
            return
        else:
            assert self.pairs is not None
            self.pairs.append((self.waiting, part))
            self.waiting = None
        self.size += part.size
        self.depth = max(self.depth, part.depth + 1)


def parse_yaml(text: str) -> YamlNode | None:
    """What `text` holds; None where that is nothing. Raises Unreadable."""
    if len(text) > CHARACTERS:
        raise Unreadable(1, f"has more than {CHARACTERS:,} characters, which is no description")
    try:
        return _built(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Unreadable(line, str(error.problem or error.context)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Unreadable(line, f"the character U+{error.character:04X} is not allowed in YAML") from None
    except (ValueError, OverflowError) as error:  # of escapes such as "\UFFFFFFFF"
        raise Unreadable(1, f"not valid YAML: {error}") from None


def _built(events: Iterator[yaml.Event]) -> YamlNode | None:
    whole: YamlNode | None = None
    open_parts: list[tuple[YamlNode, str | None]] = []
    named: dict[str, YamlNode] = {}
    for event in events:
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent) and whole:
            raise Unreadable(line, "expected one document, but there is another one")
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            open_parts.append((_opened(event, line), event.anchor))
            if len(open_parts) > DEPTH:
                raise Unreadable(line, f"is more than {DEPTH} levels deep")
            continue
        if isinstance(event, yaml.ScalarEvent):
            part, anchor = YamlNode(line, _scalar(event, line)), event.anchor
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in named:
                raise Unreadable(line, f"the alias '*{event.anchor}' refers to nothing that is complete before it")
            part, anchor = named[event.anchor], None
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            part, anchor = open_parts.pop()
            _merge(part)
        else:
            continue
        if anchor is not None:
            named[anchor] = part
        if open_parts:
            open_parts[-1][0].take(part)
            _check_size(open_parts[-1][0], line, len(open_parts))
        else:
            whole = part
    return whole


def _opened(event: yaml.MappingStartEvent | yaml.SequenceStartEvent, line: int) -> YamlNode:
    if event.tag is not None and event.tag.removeprefix(TAG) not in (*COLLECTIONS, "!"):
        raise Unreadable(line, f"the tag '{_tag_text(event.tag)}' is not known here; leave it out")
    return YamlNode(line, pairs=[]) if isinstance(event, yaml.MappingStartEvent) else YamlNode(line, items=[])


def _scalar(event: yaml.ScalarEvent, line: int) -> Scalar:
    text = event.value
    if HALF.search(text):  # JSON escapes characters beyond U+FFFF as pairs
        try:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise Unreadable(line, "half of a surrogate pair is no character") from None
    if event.tag is None:
        return quoted(text) if not event.implicit[0] else MERGE if text == MERGE.written else unquoted(text)
    if event.tag == "!":
        return quoted(text)
    name = event.tag.removeprefix(TAG)
    if name == event.tag or name not in ("str", "int", "float", "bool", "null"):
        raise Unreadable(line, f"the tag '{_tag_text(event.tag)}' is not known here; leave it out")
    scalar = tagged(text, name)
    if scalar is None:
        raise Unreadable(line, f"'{text}' is no !!{name}")
    return scalar


def _tag_text(tag: str) -> str:
    return f"!!{tag.removeprefix(TAG)}" if tag.startswith(TAG) else tag


def _check_size(part: YamlNode, line: int, above: int) -> None:
    if part.size > VALUES:
        raise Unreadable(line, f"refers to more than {VALUES:,} values")
    if above - 1 + part.depth > DEPTH:
        raise Unreadable(line, f"is more than {DEPTH} levels deep")


def _merge(part: YamlNode) -> None:
    """`<<: *other`, or a list of such: the keys of others that have none here."""
    if not part.pairs or not any(_merges(key) for key, _ in part.pairs):
        return
    own = [(key, value) for key, value in part.pairs if not _merges(key)]
    there = {str(key.scalar) for key, _ in own}
    for key, value in part.pairs:
        if not _merges(key):
            continue
        others = [value] if value.items is None else value.items
        for other in others:
            if other.pairs is None:
                raise Unreadable(key.line, f"'{MERGE.written}' takes a mapping, or a list of them")
            for name, inner in other.pairs:
                if str(name.scalar) not in there:
                    there.add(str(name.scalar))
                    own.append((name, inner))
    part.pairs = own


def _merges(key: YamlNode) -> bool:
    return key.scalar is MERGE


def values_of(part: YamlNode, lines: dict[KeyPath, int], key: KeyPath = ()) -> Any:
    """Mappings, lists and Scalars, and in `lines` where each is. Raises Unreadable for a key that appears twice."""
    lines.setdefault(key, part.line)
    if part.items is not None:
        return [values_of(item, lines, (*key, index)) for index, item in enumerate(part.items)]
    if part.pairs is None:
        return part.scalar
    found: dict[str, Any] = {}
    for name, value in part.pairs:
        child = (*key, str(name.scalar))
        if child[-1] in found:
            raise Unreadable(name.line, f"{'.'.join(map(str, child))}: this key appears here twice")
        lines[child] = name.line
        found[str(name.scalar)] = values_of(value, lines, child)
    return found
