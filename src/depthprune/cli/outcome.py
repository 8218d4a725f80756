"""What a measuring command prints at its end, and keeps as `summary.txt` beside the study."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from depthprune.base.files import write_text
from depthprune.base.terminal import terminal
from depthprune.benchmark.forecast import Forecast
from depthprune.report.formatting import as_text
from depthprune.report.render.text import section_parts
from depthprune.report.sections.status import forecast_section, forecast_value
from depthprune.report.table import Section
from depthprune.strategies.pipeline import SearchOutcome
from depthprune.workflow.outcome import SUMMARY, closing, findings


def show(
    outcome: SearchOutcome,
    *,
    as_json: bool,
    min_coverage: int = 2,
    min_drop: float | None = None,
) -> None:
    """Summarise a search: print it, write `summary.txt` and the comparisons of the splits."""
    parts, value = findings(outcome, min_coverage=min_coverage, min_drop=min_drop)
    write_text(outcome.folder / SUMMARY, as_text(parts))
    print_findings([*parts, *closing(outcome)], value, as_json=as_json)


def show_section(section: Section, value: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a section for people, or its value for scripts."""
    print_findings(section_parts(section)[1:], value, as_json=as_json)


def show_forecast(found: Forecast, *, as_json: bool) -> None:
    """Print what would be measured."""
    show_section(forecast_section(found), forecast_value(found), as_json=as_json)


def print_findings(
    parts: Sequence[RenderableType], value: Mapping[str, Any], *, as_json: bool
) -> None:
    """Print the tables and lines for people, or the value for scripts."""
    if as_json:
        print(json.dumps(value, indent=1))
        return
    console = terminal(markup=False)
    for part in parts:
        console.print(part, highlight=False, soft_wrap=isinstance(part, str))
