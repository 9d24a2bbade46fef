"""What an encoder has read: the list that belongs to it, how it is found, how it is kept, and groups that follow it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdist.errors import UserError
from xdist.languages import CC100, EVERY_GROUP, LANGUAGES, NOBODY_KNOWS, SEEN, UNKNOWN, by_size, find_language
from xdist.languages.encoders import BY_NAME, BY_VOCABULARY, read_by, read_by_name
from xdist.languages.pretraining import NAMES, NONE, find_list, read_list, recorded_list, shipped_list
from xdist.resolve.encoder import pretraining_of


@pytest.mark.parametrize("name", NAMES)
def test_every_list_is_of_languages_and_says_where_it_is_from(name: str) -> None:
    one = shipped_list(name)
    assert one.source
    assert one.title
    assert all(find_language(code) for code in (*one.sizes, *one.unsure))
    assert one.group("en") in ("high", SEEN)
    assert one.group("sw-en") == UNKNOWN
    assert by_size(["en", "ht"], one) == ["ht", "en"]


@given(st.sampled_from(NAMES), st.sampled_from(LANGUAGES))
def test_a_group_follows_from_the_size(name: str, code: str) -> None:
    one = shipped_list(name)
    size, group = one.size(code), one.group(code)
    assert group in EVERY_GROUP
    assert (size is None) == (group in (SEEN, UNKNOWN))
    assert (size == 0) == (group == "unseen")
    if size:
        assert group == ("low" if size < one.low else "mid" if size < one.mid else "high")


def test_what_each_family_has_read() -> None:
    groups = {name: [shipped_list(name).group(code) for code in ("yo", "hau_Latn", "sw", "kor_Hang")] for name in NAMES}
    assert groups == {
        "cc100": ["unseen", "low", "low", "high"],
        "wikipedia": ["seen", "unseen", "seen", "seen"],
        "mmbert": ["low", "unseen", "mid", "high"],
        "glot500": ["mid", "mid", "mid", "mid"],
    }
    assert len(shipped_list("wikipedia").sizes) == 104 + 1  # Norwegian under two codes
    assert shipped_list("mmbert").group("ace_Arab") == UNKNOWN  # which scripts it read is not known
    assert shipped_list("cc100").group("ace_Arab") == "unseen"


def config(folder: Path, **values: Any) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(values))
    return str(folder)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"model_type": "xlm-roberta", "vocab_size": 250002}, "cc100"),
        ({"model_type": "xlm-roberta", "vocab_size": 901629}, "cc100"),
        ({"model_type": "xlm-roberta", "vocab_size": 401145}, "glot500"),
        ({"model_type": "bert", "vocab_size": 119547}, "wikipedia"),
        ({"model_type": "modernbert", "vocab_size": 256000}, "mmbert"),
        ({"model_type": "xlm-roberta", "vocab_size": 800}, NONE),
        ({"model_type": "bert", "vocab_size": 30522}, NONE),
        ({"model_type": 3}, NONE),
    ],
)
def test_a_configuration_tells(tmp_path: Path, values: dict[str, Any], name: str) -> None:
    assert pretraining_of(config(tmp_path / "encoder", **values)).name == name


def test_an_xlm_says_its_languages_itself(tmp_path: Path) -> None:
    of = pretraining_of(config(tmp_path / "xlm", model_type="xlm", n_words=200000, lang2id={"en": 0, "ar": 1, "?": 2}))
    assert [of.group(code) for code in ("en", "ar", "yo")] == [SEEN, SEEN, "unseen"]
    assert recorded_list(json.loads(json.dumps(of.record))) == of


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("FacebookAI/xlm-roberta-base", "cc100"),
        ("cis-lmu/glot500-base", "glot500"),
        ("jhu-clsp/mmBERT-base", "mmbert"),
        ("google-bert/bert-base-multilingual-cased", "wikipedia"),
        ("google-bert/bert-base-uncased", NONE),
    ],
)
def test_a_name_tells_where_there_is_no_configuration(name: str, of: str) -> None:
    assert read_by_name(name).name == of


def test_tables_name_lists_that_there_are() -> None:
    assert {*BY_NAME.values(), *BY_VOCABULARY.values()} == set(NAMES)
    assert read_by("xlm", 200000) == NOBODY_KNOWS


def test_a_list_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("# unit: million words\n# low: 1\n# mid: 10\nyo 0.5\nyor_Latn 0.7\nha\nsw ?\nen 100\n")
    mine = find_list(str(file))
    assert [mine.group(code) for code in ("yo", "ha", "sw", "en", "de")] == ["mid", SEEN, UNKNOWN, "high", "unseen"]
    assert mine.size("yor") == pytest.approx(1.2)
    assert mine.meaning("low") == "under 1 million words"
    assert recorded_list(json.loads(json.dumps(mine.record))) == mine
    assert by_size(["en", "yo", "ha", "de"], mine) == ["de", "ha", "yo", "en"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("en 1\nxyzzy 2\n", ":2: unknown language 'xyzzy'"),
        ("en -1\n", ":1: '-1' is no size"),
        ("en nan\n", ":1: 'nan' is no size"),
        ("en 1 GiB\n", ":1: expected a code and a size, found 3 words"),
        ("# low: few\nen 1\n", ":1: low: expected a number, found 'few'"),
        ("# nothing\n", ": lists no language"),
    ],
)
def test_a_list_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "mine.txt"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        read_list(file)
    assert str(error.value).startswith(f"{file}{said}")


def test_a_list_that_is_not_there() -> None:
    with pytest.raises(UserError, match="unknown pre-training list 'cc10': did you mean 'cc100'"):
        find_list("cc10")


def test_scores_of_earlier_versions_were_grouped_by_cc100() -> None:
    assert recorded_list(None) is CC100
    assert recorded_list({"name": NONE}) == NOBODY_KNOWS
    assert not recorded_list({"name": "of a later version"}).known
    with pytest.raises(UserError, match="pretraining: is no list"):
        recorded_list({"name": "a", "sizes": {}})
