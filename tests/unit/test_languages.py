"""Languages by any code, what an encoder has read of them, and the fifty of XTREME-R."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdist.errors import UserError
from xdist.languages import (
    CC100,
    GROUPS,
    LANGUAGES,
    UNKNOWN,
    are_pairs,
    by_diagonal,
    by_size,
    language,
    pair_of,
    same_language,
    without,
)
from xdist.languages.codes import PLACE

ROWS = [line.rstrip("\n").split("\t") for line in (PLACE / "table.tsv").open(encoding="utf-8") if not line.startswith("#")]
SCRIPTS = [line.split("\t")[0] for line in (PLACE / "scripts.tsv").open(encoding="utf-8") if not line.startswith("#")]
FLORES = Path(__file__).parents[3] / "shared" / "data" / "sib200"


def test_fifty_from_least_to_most_text() -> None:
    assert len(LANGUAGES) == len(set(LANGUAGES)) == 50
    sizes = [CC100.size(code) for code in LANGUAGES]
    assert sizes == sorted(sizes)  # type: ignore[type-var]
    assert len({language(code).name for code in LANGUAGES}) == 50
    assert {code for code in LANGUAGES if CC100.group(code) == "unseen"} == {"ht", "qu", "wo", "yo"}
    assert [CC100.group(code) for code in ("te", "ur", "pt", "es")] == ["low", "mid", "mid", "high"]
    assert set(Counter(CC100.group(code) for code in LANGUAGES)) == set(GROUPS)


@given(st.sampled_from(ROWS), st.sampled_from(SCRIPTS), st.booleans())
def test_all_codes_of_a_language_are_one(row: list[str], script: str, upper: bool) -> None:
    iso, short, members, name, usual, family, _ = row
    codes = [iso, *filter(None, [short, *members.split(",")])]
    plain = {language(code).key for code in codes}
    assert plain == {(iso, usual)}
    written = [f"{code}{between}{script.lower() if upper else script}" for code in codes for between in "_-"]
    assert {language(code).key for code in written} == {(iso, script)}
    found = language(written[0])
    assert (found.family, found.name == name) == (family, script == usual)
    assert found.name.startswith(name)


def test_no_code_stands_for_two_languages() -> None:
    codes = [code for row in ROWS for code in [row[0], *filter(None, [row[1], *row[2].split(",")])]]
    assert len(codes) == len(set(codes)) > 7000


@pytest.mark.parametrize(
    "one, other, equal",
    [
        ("yo", "yor_Latn", True),
        ("sw", "swh_Latn", True),
        ("swa", "swh", True),
        ("zh", "zho-CN", True),
        ("zh", "zh-TW", False),
        ("tl", "fil", True),
        ("az", "azj_Latn", True),
        ("fa", "pes_Arab", True),
        ("fa", "prs_Arab", False),
        ("ms", "zsm_Latn", True),
        ("ar", "arb_Arab", True),
        ("ar", "ary_Arab", False),
        ("qu", "quy_Latn", False),  # no member goes without saying
        ("nah", "nah_Latn", True),
        ("nah", "nhe", False),
        ("ace_Arab", "ace_Latn", False),
        ("ko", "kor_Hang", True),
        ("azb", "azb_Arab", True),
        ("pt", "pt-BR", True),
        ("be-x-old", "be", True),
        ("hi_rom", "hin_Latn", True),
    ],
)
def test_codes_that_files_have(one: str, other: str, equal: bool) -> None:
    assert same_language(one, other) == equal


@pytest.mark.parametrize(
    "code, both",
    [
        ("en-de", ("en", "de")),
        ("de-de", ("de", "de")),
        ("eng_Latn-rus_Cyrl", ("eng_Latn", "rus_Cyrl")),
        ("en-sr-Latn", ("en", "sr-Latn")),
        ("de-DE-sw-KE", ("de-DE", "sw-KE")),
        ("aa1-bb2", ("aa1", "bb2")),  # codes of a user's own
        *((code, None) for code in ("de-DE", "yor-Latn", "zh-min-nan", "be-x-old", "zh-TW", "eng_Latn", "sw", "a1-b2-c3")),
    ],
)
def test_which_codes_are_pairs(code: str, both: tuple[str, str] | None) -> None:
    assert pair_of(code) == both
    assert are_pairs([code, "en-sw"]) == (both is not None)
    if both:
        assert by_diagonal(["en-sw", code]) == (([code], ["en-sw"]) if both[0] == both[1] else ([], ["en-sw", code]))


def test_a_language_is_left_out_under_any_code() -> None:
    assert without(["eng_Latn", "simple", "yo", "sr-Latn", "en-en"], ["en", "yor_Latn", "sr"]) == ["sr-Latn", "en-en"]


def test_who_a_language_is() -> None:
    found = language("ace_Arab")
    assert (found.iso, found.script, found.name) == ("ace", "Arab", "Acehnese (Arabic)")
    assert (found.family, found.script_name, found.continent) == ("Austronesian", "Arabic", "Asia")
    assert language("als_Latn").family == "Indo-European: Albanian"


@pytest.mark.parametrize("code", ["svx", "xx", "", "sw-en", "yor_Lat1", "sw_sw"])
def test_what_is_no_language(code: str) -> None:
    with pytest.raises(UserError, match="unknown language"):
        language(code)


def test_a_script_that_there_is_not() -> None:
    with pytest.raises(UserError, match="language 'yor_Ltan': unknown script 'Ltan': did you mean 'Latn'"):
        language("yor_Ltan")


def test_what_was_read() -> None:
    assert (CC100.size("hau_Latn"), CC100.group("hau")) == (0.3, "low")
    assert (CC100.size("min_Arab"), CC100.group("min_Arab")) == (0.0, "unseen")
    assert CC100.size("sw-en") is None
    assert CC100.group("sw-en") == UNKNOWN
    assert all(language(code) for code in CC100.sizes)


def test_every_file_of_sib200_is_a_language_of_its_own() -> None:
    if not FLORES.is_dir():
        pytest.skip("the benchmark's files are not here")
    codes = [path.name for path in FLORES.iterdir() if "_" in path.name]
    keys = {language(code).key for code in codes}
    assert len(keys) == len(codes) > 100
    assert all(language(code).script == code.split("_")[1] for code in codes)


def test_by_size_puts_others_first() -> None:
    assert by_size(["en", "sw", "xx", "ht", "aa"]) == ["aa", "xx", "ht", "sw", "en"]


def test_the_table_is_facts_only() -> None:
    assert json.dumps(ROWS).isprintable()
    assert all(len(row) == 7 and row[3] and row[5] for row in ROWS)
