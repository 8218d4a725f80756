"""The shared evaluator answers as the reference does, over all of transformers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.architectures.sharing import (
    DIFFERS,
    FELL_BACK,
    PARTLY,
    SHARED,
    UNAVAILABLE,
    check_sharing,
)
from tests.architectures.sharing_report import class_table, write_into
from tests.architectures.sweep import all_jobs, sweep

KNOWN = {SHARED, PARTLY, FELL_BACK, UNAVAILABLE}
DOCUMENT = Path(__file__).parents[2] / "docs" / "engine.md"

VARIED = [
    ("causal", "deepseek_v3", SHARED),
    ("causal", "ernie4_5", SHARED),
    ("causal", "gptj", SHARED),
    ("causal", "phi", SHARED),
    ("causal", "stablelm", SHARED),
    ("causal", "diffllama", PARTLY),
    ("causal", "bamba", FELL_BACK),
    ("vlm", "llava", SHARED),
    ("vlm", "qwen2_5_vl", SHARED),
    ("vlm", "gemma3", SHARED),
    ("vlm", "qwen3_vl", PARTLY),
    ("vlm", "git", FELL_BACK),
]


@pytest.mark.parametrize(("role", "model_type", "status"), VARIED)
def test_answers_are_the_reference_s(role: str, model_type: str, status: str) -> None:
    outcome = check_sharing(role, model_type)
    assert outcome.status == status, outcome.note
    assert bool(outcome.note) == (status != SHARED)
    assert outcome.images == (role == "vlm")


def test_a_wrong_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthprune.engine.generate.AnswerEnd.text", lambda *_: "wrong")
    assert check_sharing("causal", "llama").status == DIFFERS


@pytest.mark.architectures
@pytest.mark.timeout(0)
def test_every_architecture_is_shared_or_falls_back() -> None:
    outcomes = []
    for outcome in sweep(all_jobs(("causal", "vlm")), check_sharing):
        outcomes.append(outcome)
        if outcome.status not in KNOWN:
            sys.stdout.write(f"{outcome.role} {outcome.model_type}: {outcome.note}\n")
    sys.stdout.write(f"\n{class_table(outcomes)}\n")
    write_into(DOCUMENT, outcomes)
    assert not [outcome for outcome in outcomes if outcome.status not in KNOWN]
