"""The page that says where things are added names files that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/how-to/where-to-add.md"


def test_every_place_that_the_page_names_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    names = re.findall(r"`((?:xdist|tests|docs|ds_configs|benchmarks)/[\w/.]*)`", text)
    assert len(names) > 20
    assert [name for name in names if not (ROOT / name).exists()] == []
    rooms = {name.split("/")[1] for name in names if name.startswith("xdist/")}
    inner = set(re.findall(r"`((?:resolve|runtime|model|evaluation)/\w+\.py)`", text))
    assert inner
    assert [name for name in inner if not (ROOT / "xdist" / name).exists()] == []
    assert rooms <= {path.name for path in (ROOT / "xdist").iterdir()}
