"""A command whose extra is not installed says so first."""

from __future__ import annotations

import pytest

from depthprune.base.errors import MissingDependencyError
from depthprune.cli import run as module


@pytest.mark.parametrize(
    ("absent", "extras"),
    [
        ({"torch"}, "run"),
        ({"nltk", "pycocoevalcap"}, "caption"),
        ({"torch", "transformers", "nltk", "pycocoevalcap"}, "run,caption"),
    ],
)
def test_the_demo_names_its_extras_before_it_prints(
    absent: set[str],
    extras: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name in absent else object())
    with pytest.raises(MissingDependencyError) as raised:
        module.demo()
    assert raised.value.mend == f"pip install 'depthprune[{extras}]'"
    assert capsys.readouterr() == ("", "")
