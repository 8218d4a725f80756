"""Skipping blocks, building without them and cutting them out agree, over all of transformers."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from transformers.utils import is_torchvision_available

from tests.architectures.check import check_architecture, entries
from tests.architectures.processors import check_processor, section, table
from tests.architectures.report import (
    GOALS,
    PER_LAYER,
    class_table,
    document,
    replace_part,
    tally,
)
from tests.architectures.sweep import all_jobs, sweep

DOCUMENT = Path(__file__).parents[2] / "docs" / "architectures.md"

VARIED = [
    *[("causal", name, "text") for name in ("llama", "qwen2", "qwen3", "gemma2", "gemma3_text")],
    *[
        ("causal", name, "text")
        for name in ("mixtral", "olmoe", "qwen3_moe", "gpt2", "gpt_neox", "falcon")
    ],
    *[("causal", name, "text") for name in ("opt", "phi3")],
    *[("vlm", name, "text") for name in ("llava", "qwen2_5_vl", "gemma3")],
    ("mlm", "bert", "text"),
    ("vit", "vit", "text"),
    ("s2s", "t5", "decoder"),
]


@pytest.mark.parametrize(("role", "model_type", "part"), VARIED, ids=lambda value: value)
def test_skipping_equals_building_and_cutting(role: str, model_type: str, part: str) -> None:
    outcome = check_architecture(role, model_type, part)
    assert (outcome.status, outcome.note) == ("pass", "")
    assert outcome.images == (role in {"vlm", "vit"})


@pytest.mark.parametrize("model_type", ["llava", "qwen2_vl", "mllama", "paligemma"])
def test_the_processor_of_an_architecture_loads(model_type: str) -> None:
    found = check_processor(model_type)
    assert (found.verdict, found.image_processor[-3:]) == ("loads", "Pil")


@pytest.mark.skipif(is_torchvision_available(), reason="nothing is missing")
def test_a_processor_that_needs_a_package_says_which() -> None:
    assert check_processor("llama4").verdict == "needs `torchvision`"


def test_every_vision_language_architecture_is_in_the_table_of_processors() -> None:
    rows = re.findall(r"^\| (\S+) \|", section(DOCUMENT.read_text(encoding="utf-8")), re.MULTILINE)
    assert rows[1:] == entries("vlm")


@pytest.mark.architectures
@pytest.mark.timeout(0)
def test_every_architecture() -> None:
    outcomes = []
    for outcome in sweep(all_jobs()):
        outcomes.append(outcome)
        if outcome.status == "fail":
            sys.stdout.write(f"{outcome.role} {outcome.model_type}: {outcome.note}\n")
    sys.stdout.write(f"\n{class_table(outcomes)}\n")
    DOCUMENT.parent.mkdir(exist_ok=True)
    processors = table([check_processor(model_type) for model_type in entries("vlm")])
    before = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.is_file() else ""
    per_layer = before.partition(PER_LAYER)
    text = replace_part(document(outcomes) + "\n" + processors, "".join(per_layer[1:]))
    DOCUMENT.write_text(text.rstrip() + "\n", encoding="utf-8")
    missed = [goal.title for goal in GOALS if not tally(outcomes, goal).reached]
    assert not missed, f"goals missed: {missed}; see {DOCUMENT}"
