"""What a configuration says block by block stays with its block, over all of transformers."""

from __future__ import annotations

import sys

import pytest

from tests.architectures.per_layer import check_per_layer
from tests.architectures.report import per_layer_part, per_layer_tally, replace_part
from tests.architectures.sweep import all_jobs, sweep
from tests.architectures.test_architectures import DOCUMENT


@pytest.mark.parametrize(
    ("role", "model_type", "part"),
    [
        ("causal", "hunyuan_v1_moe", "text"),
        ("causal", "llama4_text", "text"),
        ("vlm", "step3p7", "text"),
        ("vlm", "llava", "vision"),
    ],
)
def test_every_field_stays_with_its_block(role: str, model_type: str, part: str) -> None:
    outcome = check_per_layer(role, model_type, part)
    assert (outcome.status, outcome.note) == ("equal", "")
    assert outcome.fields


@pytest.mark.per_layer
@pytest.mark.timeout(0)
def test_every_architecture() -> None:
    outcomes = []
    for outcome in sweep(all_jobs(), check_per_layer):
        outcomes.append(outcome)
        if outcome.status in ("different", "fail"):
            sys.stdout.write(f"{outcome.role} {outcome.model_type}: {outcome.note}\n")
    part = per_layer_part(outcomes)
    sys.stdout.write(part)
    DOCUMENT.write_text(replace_part(DOCUMENT.read_text(encoding="utf-8"), part), encoding="utf-8")
    found = per_layer_tally(outcomes)
    assert not found["different"]
    assert found["equal"] >= 0.8 * (found["equal"] + found["refused"])
