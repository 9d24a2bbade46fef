"""A registry: one `register` for ours and others'; names distinguished; others' code imported when it is requested, not
before."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from xdist import plugins
from xdist.errors import UserError
from xdist.registry import Registry

OURS = """
from test_registry import COLOURS, Colour
COLOURS.register(Colour("red"))
COLOURS.register(Colour("green"))
"""


@dataclass(frozen=True)
class Colour:
    name: str


COLOURS: Registry[Colour] = Registry("colour", "painted.all")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed modules: the package whose colours are ours. Afterwards nothing is registered or imported."""
    (tmp_path / "painted").mkdir()
    (tmp_path / "painted/__init__.py").touch()
    (tmp_path / "painted/all.py").write_text(OURS)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    COLOURS._values.clear()
    plugins.load_offered.cache_clear()
    plugins._enter.cache_clear()
    plugins._entry_of_installed.cache_clear()
    plugins._installed.clear()
    for name in set(sys.modules) - before:
        del sys.modules[name]


def file_of(folder: Path, name: str, *lines: str) -> Path:
    text = "\n".join(("from test_registry import COLOURS, Colour", *lines, ""))
    (folder / name).write_text(text)
    return folder / name


def offer(folder: Path, distribution: str, *points: str) -> None:
    """Install a distribution with these entry points."""
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(("[xdist.plugins]", *points, "")))


def names() -> list[str]:
    return [colour.name for colour in COLOURS]


def refused(name: str, *arguments: list[str]) -> str:
    with pytest.raises(UserError) as caught:
        COLOURS.get(name, *arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_ours_are_there_when_they_are_asked_for_in_their_order() -> None:
    assert "painted.all" not in sys.modules
    assert COLOURS.get("green") == Colour("green")
    assert names() == ["red", "green"]
    assert refused("gren") == "unknown colour 'gren': did you mean 'green'? (valid: green, red)"


def test_a_plugin_is_entered_once_and_after_ours(place: Path) -> None:
    entry = plugins.pinned(str(file_of(place, "mine.py", 'COLOURS.register(Colour("blue"))')))
    assert plugins.pinned(str(place / "mine.py")) == plugins.pinned(entry) == entry
    assert names() == ["red", "green", "blue"]
    assert list(COLOURS.ours()) == ["red", "green"]
    assert COLOURS.plugin("red") is COLOURS.plugin("pink") is None
    assert COLOURS.plugin("blue") == entry


def test_two_of_one_name_are_refused(place: Path) -> None:
    mine = file_of(place, "mine.py", 'COLOURS.register(Colour("blue"))')
    plugins.pinned(str(mine))
    for name, taken, by in (("blue", "blue", mine), ("red", "red", place / "painted/all.py")):
        other = file_of(place, f"other-{name}.py", "# another file", f'COLOURS.register(Colour("{taken}"))')
        with pytest.raises(UserError) as caught:
            plugins.pinned(str(other))
        assert str(caught.value) == f"{other}:3: colour '{taken}' is already registered, in {by}"
    twice = file_of(place, "twice.py", 'COLOURS.register(Colour("pink"))', 'COLOURS.register(Colour("pink"))')
    with pytest.raises(UserError, match=r"twice\.py:3: colour 'pink' is already registered, in .*twice\.py"):
        plugins.pinned(str(twice))
    assert names() == ["red", "green", "blue"]  # what failed left nothing


def test_what_one_file_brings_is_there_for_those_who_name_it(place: Path) -> None:
    entry = plugins.pinned(str(file_of(place, "mine.py", 'COLOURS.register(Colour("blue"))')))
    assert COLOURS.get("blue", [entry]).name == COLOURS.get("blue").name == "blue"
    assert refused("blue", []) == "unknown colour 'blue': (valid: green, red)"
    assert COLOURS.get("red", []).name == "red"
    assert (COLOURS.has("blue", [entry]), COLOURS.has("blue"), COLOURS.has("blue", [])) == (True, True, False)


def test_what_is_named_and_was_not_imported_is_not_installed_here(place: Path) -> None:
    recorded = ["mine.py@0123456789abcdef"]
    assert refused("blue", recorded) == "colour 'blue' is not installed here"
    assert COLOURS.get("red", recorded).name == "red"
    file_of(place, "plain_colours.py", 'COLOURS.register(Colour("pink"))')
    entry = plugins.pinned("plain_colours")
    assert refused("blue", [entry]) == "unknown colour 'blue': (valid: green, pink, red)"
    assert refused("gray", [entry], ["grey"]) == "unknown colour 'gray': did you mean 'grey'? (valid: green, grey, pink, red)"


def test_what_is_given_is_there_whatever_a_run_names(place: Path) -> None:
    mine = file_of(place, "mine.py", 'COLOURS.register(Colour("blue"))')
    with plugins.with_plugins([str(mine)]):
        assert COLOURS.get("blue", []).name == COLOURS.get("blue", ["mine.py@0123456789abcdef"]).name == "blue"
    assert not COLOURS.has("blue", [])
    with pytest.raises(UserError, match=r"nowhere\.py: cannot be read"), plugins.with_plugins([str(mine), "nowhere.py"]):
        pass
    assert plugins.given_now() == ()


def test_a_file_that_was_changed_is_imported_again(place: Path) -> None:
    mine = file_of(place, "mine.py", 'COLOURS.register(Colour("blue"))', "WORTH = 1")
    first = plugins.pinned(str(mine))
    file_of(place, "mine.py", 'COLOURS.register(Colour("blue"))', "WORTH = 2")  # as long, in the same second
    second = plugins.pinned(str(mine))
    assert first != second
    assert sys.modules[plugins.ONE_FILE + plugins.digest_in(second)].WORTH == 2
    assert COLOURS.get("blue", [second])
    with pytest.raises(UserError, match=r"mine\.py: its code \([0-9a-f]{16}\) differs from the recorded code"):
        plugins.pinned(first)


@pytest.mark.parametrize(
    "lines, message",
    [
        (["", "1 / 0"], ":3: ZeroDivisionError: division by zero"),
        (["COLOURS.register(Colour(3)"], ":2: SyntaxError: '(' was never closed"),
        (["def deep():", "    return {}['x']", "deep()"], ":3: KeyError: 'x'"),
        (["import no_such_thing"], ":2: ModuleNotFoundError: No module named 'no_such_thing'"),
        (["raise SystemExit"], ":2: SystemExit"),
    ],
)
def test_a_broken_file_is_one_line_and_can_be_mended(place: Path, lines: list[str], message: str) -> None:
    broken = file_of(place, "broken.py", *lines)
    for _ in range(2):
        with pytest.raises(UserError) as caught:
            plugins.pinned(str(broken))
        assert str(caught.value) == f"{broken}{message}"
    plugins.pinned(str(file_of(place, "broken.py", 'COLOURS.register(Colour("blue"))')))
    assert names() == ["red", "green", "blue"]


@pytest.mark.parametrize("name", ["nowhere", "a/b", "sys", "__main__", "no such", "painted-colours"])
def test_what_is_not_there_is_one_line(place: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"neither a file \(\*\.py\) nor an installed module or distribution"):
        plugins.pinned(name)
    with pytest.raises(UserError, match=r"nowhere\.py: cannot be read: No such file"):
        plugins.pinned("nowhere.py")


def test_distributions_offer_modules_and_functions_when_a_name_is_not_ours(place: Path) -> None:
    file_of(place, "more_colours.py", 'COLOURS.register(Colour("blue"))', "def enter(): COLOURS.register(Colour('pink'))")
    offer(place, "more-colours", "a = more_colours", "b = more_colours:enter")
    assert COLOURS.get("red")
    assert "more_colours" not in sys.modules
    assert COLOURS.get("pink", []).name == "pink"
    assert COLOURS.get("blue").name == "blue"
    assert COLOURS.plugin("pink") == plugins.pinned("more_colours")
    assert plugins.digest_in(plugins.pinned("more-colours")) == plugins.digest_in(plugins.pinned("more_colours"))


def test_a_distribution_is_named_and_pinned_by_its_code(place: Path) -> None:
    (place / "many").mkdir()
    (place / "many/__init__.py").touch()
    file_of(place / "many", "inner.py", 'COLOURS.register(Colour("blue"))')
    offer(place, "many-colours", "a = many.inner")
    entry = plugins.pinned("many-colours")
    assert COLOURS.get("blue").name == "blue"
    (place / "many/other.py").write_text("x = 1")
    with pytest.raises(UserError, match="many-colours: its code "):
        plugins.pinned(entry)


def test_a_broken_distribution_is_named(place: Path) -> None:
    file_of(place, "bad_colours.py", "", "1 / 0")
    offer(place, "bad-colours", "a = bad_colours", "b = bad_colours:none")
    assert COLOURS.get("red")
    assert refused("blue") == f"{place / 'bad_colours.py'}:3: ZeroDivisionError: division by zero"
    offer(place, "worse-colours", "a = nowhere_at_all")
    (place / "bad-colours-1.0.dist-info/entry_points.txt").write_text("")
    assert refused("blue").startswith("worse-colours: neither a file")


def test_a_module_is_a_plugin_without_entry_points(place: Path) -> None:
    file_of(place, "plain_colours.py", 'COLOURS.register(Colour("blue"))')
    entry = plugins.pinned("plain_colours")
    assert entry.startswith("plain_colours@")
    assert COLOURS.get("blue").name == "blue"
