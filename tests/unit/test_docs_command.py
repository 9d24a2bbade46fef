"""xdist docs: every page is listed, is printed as it is written, and is found by the name that a link has."""

import pytest
from click.testing import CliRunner, Result
from pages import PAGES, ROOT

from xdist.cli import main


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, ["docs", *words])


def test_every_page_is_listed() -> None:
    listed = {line.split()[0] for line in typed().stdout.splitlines()[2:] if not line.startswith(" ")}
    names = {page.relative_to(ROOT).with_suffix("").as_posix().removeprefix("docs/") for page in PAGES}
    assert listed == {*names, "CHANGELOG"}


@pytest.mark.parametrize("name", ["how-to/cite", "cite", "cite.md", "docs/how-to/cite.md#a-line-on-each-score", "CITE"])
def test_a_page_is_printed_as_it_is_written(name: str) -> None:
    assert typed(name).stdout == (ROOT / "docs/how-to/cite.md").read_text(encoding="utf-8")


def test_an_unknown_page_is_one_line() -> None:
    done = typed("citee")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("xdist: unknown page 'citee': did you mean 'how-to/cite'? (valid: ")


def test_no_two_pages_have_the_same_last_name() -> None:
    last = [page.stem.lower() for page in PAGES]
    assert len(set(last)) == len(last)
