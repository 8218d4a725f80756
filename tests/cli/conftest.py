"""The program, with one thread: tiny models lose by two on a busy machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from depthprune.report import figures
from tests.cli.program import Program


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    """Return a function that runs a command line and captures what it prints."""
    monkeypatch.setenv("COLUMNS", "100")
    return Program(capsys)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def _coarse_pictures() -> Iterator[None]:
    """Draw with few dots: what pictures look like is tested where they are drawn."""
    save = figures._save_png
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "_save_png", lambda figure, content, _: save(figure, content, 30))
        yield
