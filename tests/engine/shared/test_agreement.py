"""Sharing work changes no answer in float32, and few in half precision."""

from __future__ import annotations

import pytest
import torch

from depthprune.engine.shared.agreement import measure_agreement
from depthprune.testing import evaluators as conformance

REMOVALS = [(), (0,), (3,), (1, 2)]


@pytest.mark.parametrize("make", conformance.SUBJECTS, ids=conformance.name)
def test_in_float32_no_answer_differs(make: conformance.Callable[[], conformance.Subject]) -> None:
    subject = make()
    found = measure_agreement(subject.loaded, subject.split, REMOVALS, (8, 3))
    assert (found.shared, found.reference) == (0, 0)
    assert found.answers == len(REMOVALS) * len(subject.split.samples)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("make", [conformance.llama_writes, conformance.llava_sees])
def test_in_half_precision_most_answers_are_the_same(
    make: conformance.Callable[[], conformance.Subject], dtype: torch.dtype
) -> None:
    subject = make()
    subject.loaded.model.to(dtype)
    found = measure_agreement(subject.loaded, subject.split, REMOVALS, (8, 3))
    assert found.shared <= found.reference + 0.25
