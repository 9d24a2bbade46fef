"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A deadline per example measures how busy the machine is, not the code.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real development data, laid out as the official scripts leave it: XDIST_TEST_DATA, else
    ../shared/data beside the checkout. Tests that need it are skipped where there is none."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("XDIST_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no development data: set XDIST_TEST_DATA (looked in {folder})")
    return folder
