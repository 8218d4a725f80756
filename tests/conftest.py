"""Settings for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from depthprune.base.language import Lang, language

# Machines that run tests are busy: how long an example takes says nothing about the code.
settings.register_profile("depthprune", deadline=None)
settings.load_profile("depthprune")


@pytest.fixture
def lang(request: pytest.FixtureRequest) -> Iterator[Lang]:
    """Set the language of a test: English, or that of its parameter `lang` (`indirect=True`)."""
    chosen: Lang = getattr(request, "param", "en")
    with language(chosen):
        yield chosen
