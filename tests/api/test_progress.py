"""The progress bar: all that a call prints, and only where somebody watches."""

from __future__ import annotations

import io
import sys

import pytest

from depthprune.base.progress import progress, shown


class Terminal(io.StringIO):
    """A terminal that keeps what it shows."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("watched", [True, False])
def test_a_bar_is_shown_unless_it_is_silenced(
    monkeypatch: pytest.MonkeyPatch, watched: bool
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with shown(watched), progress("measuring", 3) as bar:
        bar.advance(3)
    assert ("measuring" in terminal.getvalue()) is watched


def test_silence_ends_with_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(ValueError, match="broken"), shown(False):
        raise ValueError("broken")
    with progress("measuring", 3):
        pass
    assert "measuring" in terminal.getvalue()
