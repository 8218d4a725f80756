"""The embedded model, loaded once; one thread and coarse pictures, as for the program."""

from __future__ import annotations

import pytest

import depthprune as dp
from tests.cli.conftest import _coarse_pictures, _one_thread  # noqa: F401


@pytest.fixture(scope="session")
def demo() -> dp.Model:
    """Return the embedded model, loaded once."""
    return dp.load_model("demo")
