"""One thread: tiny models lose by two on a busy machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import depthprune as dp


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def demo() -> dp.Model:
    """Return the embedded model, loaded once."""
    return dp.load_model("demo")
