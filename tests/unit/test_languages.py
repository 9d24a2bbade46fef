"""The fifty languages of XTREME-R."""

from collections import Counter

import pytest

from xdist.errors import UserError
from xdist.languages import GROUPS, LANGUAGES, by_size, language


def test_fifty_from_least_to_most_text() -> None:
    assert len(LANGUAGES) == 50
    sizes = [one.pretraining_gib for one in LANGUAGES.values()]
    assert sizes == sorted(sizes)
    assert all(code == one.code and len(code) == 2 for code, one in LANGUAGES.items())
    assert len({one.name for one in LANGUAGES.values()}) == 50


def test_resource_groups() -> None:
    groups = Counter(one.group for one in LANGUAGES.values())
    assert set(groups) == set(GROUPS)
    assert {code for code, one in LANGUAGES.items() if one.group == "unseen"} == {"ht", "qu", "wo", "yo"}
    assert [language(code).group for code in ("te", "ur", "pt", "es")] == ["low", "mid", "mid", "high"]


def test_an_unknown_code() -> None:
    with pytest.raises(UserError, match="unknown language 'sv': did you mean 'sw'"):
        language("sv")


def test_by_size_puts_others_first() -> None:
    assert by_size(["en", "sw", "xx", "ht", "aa"]) == ["aa", "xx", "ht", "sw", "en"]
