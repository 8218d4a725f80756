"""What came of the sweep of the shared evaluator, as a section of docs/engine.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import transformers

from tests.architectures.check import Outcome
from tests.architectures.sharing import FELL_BACK, PARTLY, SHARED, UNAVAILABLE

BEGIN = "<!-- written by `make test-engine`; do not edit -->"
END = "<!-- end of what is written -->"
TITLES = {
    "causal": "causal language models",
    "vlm": "vision-language models",
}


def class_table(outcomes: Sequence[Outcome]) -> str:
    """Return one row per class of architectures."""
    lines = [
        "| class | architectures | do not run | shared | of these, with pictures "
        "| partly shared | fall back | differ |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for role, title in TITLES.items():
        own = [outcome for outcome in outcomes if outcome.role == role]
        by_status = {
            status: [outcome for outcome in own if outcome.status == status]
            for status in (UNAVAILABLE, SHARED, PARTLY, FELL_BACK)
        }
        seeing = sum(outcome.images for outcome in by_status[SHARED])
        differing = len(own) - sum(map(len, by_status.values()))
        cells = [
            title,
            len(own),
            len(by_status[UNAVAILABLE]),
            len(by_status[SHARED]),
            seeing,
            len(by_status[PARTLY]),
            len(by_status[FELL_BACK]),
            differing,
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def reasons(outcomes: Sequence[Outcome]) -> str:
    """Return one row per reason for which architectures are not, or not wholly, shared."""
    groups: dict[tuple[str, str], set[str]] = {}
    for outcome in outcomes:
        if outcome.status not in (SHARED, UNAVAILABLE):
            groups.setdefault((outcome.status, _in_general(outcome.note)), set()).add(
                outcome.model_type
            )
    lines = ["| | what the warning says | architectures |", "|---|---|---|"]
    for (status, note), names in sorted(groups.items()):
        said = note.replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| {status} | {said} | {', '.join(sorted(names))} |")
    return "\n".join(lines)


def _in_general(note: str) -> str:
    """Leave out of a warning what differs from model to model."""
    note = re.sub(r"are \S+ apart from", "are apart from", note)
    note = re.sub(r"\b\w+\.generate\(\) missing 1 required positional argument", "missing", note)
    return note.replace(
        "they are evaluated", "some removals change blocks that stay: they are evaluated"
    )


def section(outcomes: Sequence[Outcome]) -> str:
    """Return the section between its two marks."""
    unavailable = sorted(
        {
            f"{outcome.model_type} ({outcome.role})"
            for outcome in outcomes
            if outcome.status == UNAVAILABLE
        }
    )
    return f"""{BEGIN}
With transformers {transformers.__version__}:

{class_table(outcomes)}

{reasons(outcomes)}

The reference does not run on the tiny models of: {", ".join(unavailable)}.
{END}"""


def write_into(document: Path, outcomes: Sequence[Outcome]) -> None:
    """Replace the section of a document."""
    text = document.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text(before + section(outcomes) + after, encoding="utf-8")
