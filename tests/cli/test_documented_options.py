"""Tables of options in the documentation name every option that there is."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from depthprune.analysis.options import Ranking, Targets
from depthprune.base.options import Options
from depthprune.benchmark.options import BenchmarkOptions
from depthprune.benchmark.sweep import SweepOptions
from depthprune.cli.flags import flag
from depthprune.cli.sweep import BlockFlags
from depthprune.cutting import CutOptions

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("page", "options"),
    [
        ("analysis.md", Ranking),
        ("analysis.md", Targets),
        ("cut.md", CutOptions),
        ("evaluate.md", BenchmarkOptions),
        ("sweep.md", BlockFlags),
        ("sweep.md", SweepOptions),
    ],
)
def test_a_page_names_every_option(page: str, options: type[Options]) -> None:
    text = (DOCS / page).read_text(encoding="utf-8").replace("_", "-")
    absent = [one.name for one in fields(options) if flag(one.name).replace("_", "-") not in text]
    assert not absent, f"docs/{page} does not name {', '.join(map(flag, absent))}"
