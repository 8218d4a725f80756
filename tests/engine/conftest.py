"""What all tests of evaluators share."""

from __future__ import annotations

import gc

import pytest


@pytest.fixture(autouse=True)
def no_full_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors go when their last name goes; a walk over all of transformers takes half a second."""
    monkeypatch.setattr(gc, "collect", lambda: 0)
