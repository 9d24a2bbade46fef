"""What a word of YAML is, by construction; which of text and value a key takes; what is bounded."""

import json
import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from xdist.config import load_run
from xdist.config.fitting import Text, expand_path
from xdist.config.loading import Source, apply_override, load, plain_yaml, read_yaml
from xdist.config.reader import parse_yaml, values_of
from xdist.config.section import Section
from xdist.errors import UserError
from xdist.files import yaml_text


def value_of(text: str) -> Any:
    part = parse_yaml(f"key: {text}\n")
    assert part
    return values_of(part, {})["key"].value


signs = st.sampled_from(["", "-", "+"])
digits = st.integers(1, 10**30).map(str)
whole = st.one_of(st.just("0"), digits)
exponents = st.builds("{}{}{:02}".format, st.sampled_from("eE"), signs, st.integers(0, 300))


@given(signs, whole)
def test_whole_numbers(sign: str, number: str) -> None:
    assert value_of(sign + number) == int(sign + number)
    assert type(value_of(sign + number)) is int


@given(st.integers(0, 10**20))
def test_other_bases(number: int) -> None:
    assert value_of(f"0o{number:o}") == value_of(f"0x{number:x}") == value_of(f"0x{number:X}") == number
    assert value_of(f"0b{number:b}") == f"0b{number:b}"
    assert value_of(f"-0x{number:x}") == f"-0x{number:x}"


@given(
    signs,
    st.one_of(st.just(""), whole),
    st.one_of(st.none(), st.text("0123456789", max_size=5)),
    st.one_of(st.just(""), exponents),
)
def test_numbers(sign: str, before: str, after: str | None, exponent: str) -> None:
    if not before and not after:
        return
    text = sign + before + ("" if after is None else f".{after}") + exponent
    kind = int if after is None and not exponent else float
    assert (value_of(text), type(value_of(text))) == (kind(text), kind)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_python_writes_of_a_number_is_that_number(number: float) -> None:
    assert value_of(repr(number)) == number
    assert value_of(f"{number:e}") == float(f"{number:e}")


@given(signs, st.text("0", min_size=1, max_size=3), digits, st.sampled_from(["", ".5", "e3", "."]))
def test_a_number_that_begins_with_a_zero_is_text(sign: str, zeros: str, number: str, more: str) -> None:
    assert value_of(sign + zeros + number + more) == sign + zeros + number + more


@given(st.dates(), st.times(), st.integers(0, 99), st.integers(0, 59))
def test_dates_times_and_grouped_digits_are_text(date: Any, time: Any, first: int, second: int) -> None:
    for text in (
        date,
        f"{date}T{time}",
        f"{date} {time}",
        time,
        f"{first}:{second}",
        f"{first}:{second:02}:00",
        f"{first}_{second}",
    ):
        assert value_of(str(text)) == str(text)


WORDS = [
    "no",
    "No",
    "NO",
    "yes",
    "on",
    "Off",
    "y",
    "n",
    "tRUE",
    "nULL",
    "Inf",
    "nan",
    ".iNF",
    "+",
    ".",
    "=",
    "1.2.3",
    "0x",
    "1e",
]


@pytest.mark.parametrize("word", [*WORDS, "24:00:00", "1,000", "e5", "1e5.0", "--1", "0o8", "0xg", "<", "١٢"])
def test_other_words_are_text(word: str) -> None:
    assert value_of(word) == word


@pytest.mark.parametrize(
    "word, value",
    [
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((word, None) for word in ("null", "Null", "NULL", "~", "")),
        *((word, math.inf) for word in (".inf", "+.Inf", ".INF")),
        ("-.inf", -math.inf),
        ("1e-4", 1e-4),
        ("!!str 5", "5"),
        ("! 5", "5"),
        ("!!int 5", 5),
        ("!!float 5", 5.0),
        ("!!bool true", True),
        ("!!null ''", None),
    ],
)
def test_words_and_tags(word: str, value: Any) -> None:
    assert (value_of(word), type(value_of(word))) == (value, type(value))


def test_not_a_number() -> None:
    assert all(math.isnan(value_of(word)) for word in (".nan", ".NaN", ".NAN"))


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20))
def test_what_is_quoted_is_text_and_what_we_write_is_read_again(text: str) -> None:
    assert value_of(json.dumps(text)) == text
    part = parse_yaml(yaml_text({"key": [text, {text or "-": text}]}))
    assert part
    inner = values_of(part, {})["key"]
    assert [inner[0].value, {key: one.value for key, one in inner[1].items()}] == [text, {text or "-": text}]


@given(
    st.one_of(
        *(st.just(word) for word in WORDS), whole, st.floats().map(repr), st.from_regex(r"0[xo]?[0-9a-f]{1,3}", fullmatch=True)
    )
)
def test_texts_that_look_like_something_else_are_written_so_that_they_stay_texts(text: str) -> None:
    part = parse_yaml(yaml_text({"key": text}))
    assert part
    assert values_of(part, {})["key"].value == text


class Inner(Section):
    number: float | Literal["auto"] = "auto"
    switch: bool | Literal["auto"] = "auto"


class Wants(Section):
    texts: tuple[str, ...] = ()
    text: str | None = None
    by_name: dict[str, str] = Field({})
    word: Literal["010", "all"] = "all"
    either: tuple[str, ...] | Literal["all"] = "all"
    number: float = 0
    whole: int = 0
    switch: bool = False
    few: Literal[1, 2] = 1
    place: Path | None = None
    below: Annotated[str, Text.BELOW] = "x"
    inner: Inner = Inner()
    inners: tuple[Inner, ...] = ()


def wants(tmp_path: Path, text: str) -> Wants:
    path = tmp_path / "wants.yaml"
    path.write_text(text, encoding="utf-8")
    return load(Wants, path)[0]


@pytest.mark.parametrize(
    "word", ["0", "1", "no", "true", "010", "1e5", "0x10", "1_000", "1:30", "1.10", "2024-05-01", ".inf", "null"]
)
def test_where_a_key_wants_text_a_word_is_taken_as_it_is_written(word: str, tmp_path: Path) -> None:
    read = wants(tmp_path, f"texts: [{word}, {word}]\nby_name: {{a: {word}, {word}: b}}\neither: [{word}]")
    assert read.texts == (word, word)
    assert read.by_name == {"a": word, word: "b"}
    assert read.either == (word,)
    assert wants(tmp_path, f"text: {word}").text == (None if word == "null" else word)
    assert wants(tmp_path, f"text: '{word}'").text == word
    assert wants(tmp_path, "word: 010").word == "010"
    source = Source(Path("x"))
    values: dict[str, Any] = {}
    apply_override(values, f"texts=[{word}]", source)
    assert values["texts"][0].written == word


@pytest.mark.parametrize(
    "text, message",
    [
        ("number: '5'", "number: Input should be a valid number, not the text '5'"),
        ("number: 1_000", "number: Input should be a valid number, not the text '1_000'"),
        ("number: true", "number: Input should be a valid number, not true; quote it for the text"),
        ("number: 010", "number: Input should be a valid number, not the text '010'"),
        ("number:", "number: Input should be a valid number, not nothing"),
        ("number: .inf", "number: Input should be a finite number"),
        ("number: 1e999", "number: Input should be a finite number"),
        (f"number: {10**400}", "number: the number is too large"),
        (f"number: {'9' * 5000}", "number: Input should be a valid number, not the text '999"),
        ("whole: 1.5", "whole: Input should be a valid integer, got a number with a fractional part"),
        ("whole: false", "whole: Input should be a valid integer, not false"),
        (f"whole: {2**63}", "whole: the number is too large"),
        ("whole: 1:30", "whole: Input should be a valid integer, not the text '1:30'"),
        ("whole: .nan", "whole: Input should be a finite number"),
        ("switch: on", "switch: Input should be a valid boolean, not the text 'on'"),
        ("switch: 1", "switch: Input should be a valid boolean, not 1"),
        ("switch: 'true'", "switch: Input should be a valid boolean, not the text 'true'"),
        ("few: true", "few: Input should be 1 or 2, not true; quote it for the text"),
        ("inner: {switch: on}", "inner.switch: "),
        ("inner: {number: 1_000}", "inner.number: "),
        ("inners: [{number: 1}, {number: no}]", "inners.1.number: "),
        ("text: ''", "text: is empty"),
        ("texts: [a, '']", "texts.1: is empty"),
        ("texts: [a, ]", ""),
        ("texts: [a, {}]", "texts.1: Input should be a valid string"),
        ("place: ''", "place: is empty"),
        ("place: $XDIST_NOT_SET/a", "place: '$XDIST_NOT_SET/a': the variable XDIST_NOT_SET is not set"),
        ("place: ~nobody-of-this-name/a", "place: '~nobody-of-this-name/a': there is no user 'nobody-of-this-name' here"),
        ('place: "a\\nb"', "place: expected one line without control characters"),
        ('place: "a\\0b"', "place: expected one line without control characters"),
        (f"place: {'a' * 256}", "place: a path has at most"),
        ("below: ~/a", "below: '~/a': is a path below another one, where '~' and '$' are not put in"),
        ("below: $HOME/a", "below: '$HOME/a': is a path below another one"),
        ("text: [a]", "text: Input should be a valid string"),
    ],
)
def test_what_a_key_does_not_take_is_said_at_its_line(text: str, message: str, tmp_path: Path) -> None:
    if not message:
        assert wants(tmp_path, text).texts == ("a",)
        return
    with pytest.raises(UserError) as caught:
        wants(tmp_path, f"# a comment\n{text}")
    assert str(caught.value).startswith(f"{tmp_path / 'wants.yaml'}:2: {message}")


def test_numbers_that_are_whole_are_taken_for_whole_ones(tmp_path: Path) -> None:
    read = wants(tmp_path, "whole: 1e3\nnumber: 3\nfew: 2\ninner: {number: 1e-4, switch: true}")
    assert (read.whole, read.number, read.few, read.inner.number, read.inner.switch) == (1000, 3.0, 2, 1e-4, True)
    assert wants(tmp_path, "inner: {number: auto, switch: auto}").inner == Inner()


def test_paths_have_what_tilde_and_variables_stand_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    for written, found in (
        ("~/runs/x", f"{tmp_path}/home/runs/x"),
        ("~", f"{tmp_path}/home"),
        ("$SCRATCH/prep", "/scratch/me/prep"),
        ("${SCRATCH}prep", "/scratch/meprep"),
        ("a/~b/c~", "a/~b/c~"),
        ("a$", "a$"),
        ("$(reboot)", "$(reboot)"),
    ):
        assert wants(tmp_path, f"place: {json.dumps(written)}").place == Path(found)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "price$X").mkdir()
    assert expand_path("price$X") == "price$X"  # it exists
    for key in ("folder", "model.backbone", "data.root", "data.cache", "data.tasks", "runtime.deepspeed"):
        path = tmp_path / "run.yaml"
        path.write_text("name: a\nfolder: a\nmodel: {backbone: b}\ndata: {root: c}\nevaluate: {tasks: [xnli]}\n")
        run: Any = load_run(path, [f"{key}=~/x"])
        for part in key.split("."):
            run = getattr(run, part)
        assert str(run) == f"{tmp_path}/home/x"


def bomb(open_with: str, close_with: str) -> str:
    lines = [f"a0: &a0 {open_with}x: 1{close_with}" if open_with == "{" else "a0: &a0 [x, x]"]
    for level in range(1, 12):
        inner = [f"p{number}: *a{level - 1}" if open_with == "{" else f"*a{level - 1}" for number in range(9)]
        lines.append(f"a{level}: &a{level} {open_with}{', '.join(inner)}{close_with}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text, line, says",
    [
        (bomb("[", "]"), 6, "refers to more than 100,000 values"),
        (bomb("{", "}"), 6, "refers to more than 100,000 values"),
        ("a: " + "[" * 5000 + "]" * 5000, 1, "is more than 50 levels deep"),
        ("a: " + "{a: " * 500 + "}" * 500, 1, "is more than 50 levels deep"),
        ("\n".join(f"a{n}: &a{n} {f'[*a{n - 1}]' if n else 'x'}" for n in range(99)), 50, "is more than 50 levels deep"),
        ("x: 'y" + "y" * 1_000_000 + "'", 1, "has more than 1,000,000 characters"),
        ("x: &x [*x]", 1, "the alias '*x' refers to nothing that is complete before it"),
        ("x: &x {<<: *x}", 1, "the alias '*x' refers to nothing"),
        ("<<: 3", 1, "'<<' takes a mapping, or a list of them"),
        ("\nx: !!python/object/apply:os.system ['touch PWNED']", 2, "the tag '!!python/object/apply:os.system' is not known"),
        ("x: !!set {? [a] : 1}", 1, "the tag '!!set' is not known here; leave it out"),
        ("x: {? {a: 1} : 2}", 1, "a key is one word"),
        ("x: !!bool maybe", 1, "'maybe' is no !!bool"),
        ("x: !!int ''", 1, "'' is no !!int"),
        ("x: !!int '-'", 1, "'-' is no !!int"),
        ("x: !!int true", 1, "'true' is no !!int"),
        ("x: !!float ''", 1, "'' is no !!float"),
        ("x: !!timestamp foo", 1, "the tag '!!timestamp' is not known here"),
        ("x: !mine foo", 1, "the tag '!mine' is not known here"),
        ('x: "\\uD800"', 1, "half of a surrogate pair is no character"),
        ('x: "\\UFFFFFFFF"', 1, "not valid YAML: "),
        ("x: 1\n---\nx: 2", 2, "expected one document, but there is another one"),
        ("a: 1\n'a': 2", 2, "a: this key appears here twice"),
        ("a: {010: 1, '010': 2}", 1, "a.010: this key appears here twice"),
        ("- a", 1, "expected 'key: value' lines"),
        ("x: *gone", 1, "the alias '*gone' refers to nothing"),
    ],
)
def test_hostile_files_are_one_line(text: str, line: int, says: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}:{line}: {says}")


def test_an_alias_is_a_copy_and_merged_keys_are_those_that_have_none(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: *a\nc: {y: 3, <<: *a}\nd: {<<: [*a, {z: 5}], x: 4}\n'<<': 6\n")
    assert plain_yaml(path) == {
        "a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"y": 3, "x": 1}, "d": {"x": 4, "y": 2, "z": 5}, "<<": 6
    }  # fmt: skip
    values, source = read_yaml(path)
    apply_override(values, "b.x=9", source)
    assert values["a"]["x"].value == 1


def test_what_is_no_file_that_can_be_read_twice_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    for path, says in (
        (tmp_path / "fifo.yaml", ": cannot be read: it is no file that can be read twice"),
        (tmp_path, ": cannot be read: Is a directory"),
        (Path("/dev/zero"), ":1: has more than 1,000,000 characters"),
    ):
        with pytest.raises(UserError, match=f"^{path}{says}"):
            read_yaml(path)
    assert read_yaml(Path("/dev/null"))[0] == {}


@given(st.text(max_size=30))
def test_any_text_is_read_or_is_one_line(text: str) -> None:
    for one in (text, f"a: {text}", f"a: [{text}]", f'a: "{text}"'):
        assert len(refusal(f"a.b={one}").splitlines()) <= 1


def refusal(override: str) -> str:
    """Empty where it is taken."""
    try:
        apply_override({}, override, Source(Path("x")))
    except UserError as error:
        return str(error)
    return ""
