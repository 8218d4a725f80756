"""Settings for all tests."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings

from depthprune.base.language import Lang, language
from depthprune.base.log import logger
from depthprune.blocks import admissible
from depthprune.blocks import stack as finding
from depthprune.blocks import stack as probing
from depthprune.blocks.stack import Origin, Stack

# Machines that run tests are busy: how long an example takes says nothing about the code.
settings.register_profile("depthprune", deadline=None)
settings.load_profile("depthprune")


@pytest.fixture
def lang(request: pytest.FixtureRequest) -> Iterator[Lang]:
    """Set the language of a test: English, or that of its parameter `lang` (`indirect=True`)."""
    chosen: Lang = getattr(request, "param", "en")
    with language(chosen):
        yield chosen


@pytest.fixture(autouse=True)
def _the_logger_is_as_before() -> Iterator[None]:
    """Undo what a command run in this process (`--verbose`) does to the package's logger."""
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture(autouse=True, scope="session")
def _stacks_are_found_once() -> Iterator[None]:
    """Keep what is worked out about the blocks of a model for all tests with an equal model.

    A stack follows from class and configuration alone; tests of the search itself call
    `probing.find_stacks`. Without this, a third of the time of all tests goes into it.
    """
    known: dict[Any, tuple[Stack, ...]] = {}
    find_stacks = probing.find_stacks

    def found(model_class: Any, config: Any) -> tuple[Stack, ...]:
        said = json.dumps(config.to_dict(), sort_keys=True, default=repr)
        key = (model_class, said, str(config._attn_implementation))
        if key not in known:
            # A test may change its model's configuration afterwards.
            kept = copy.deepcopy(config)
            known[key] = tuple(
                replace(one, origin=Origin(model_class, kept, one.origin.data))
                for one in find_stacks(model_class, config)
            )
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        for module in (finding, admissible):
            patch.setattr(module, "find_stacks", found)
        yield
