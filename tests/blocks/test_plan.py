"""Plans: the difference between a model's skeleton and the shorter one's."""

from __future__ import annotations

import pytest

from depthprune.blocks import removal_plan as inferring
from depthprune.blocks.removal_plan import plan_removal
from depthprune.blocks.stack import find_stack
from depthprune.testing import tiny_models as tiny


def count_skeletons(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    built: list[int] = []
    whole = inferring.build_skeleton

    def counted(*arguments: object) -> object:
        built.append(1)
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(inferring, "build_skeleton", counted)
    return built


def test_removals_that_leave_one_configuration_share_a_skeleton(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built = count_skeletons(monkeypatch)
    # A stack of which nothing was worked out yet, also where other tests had the same model.
    stack = find_stack(tiny.llama()).with_settings({})
    plans = [plan_removal(stack, (block,)) for block in range(4)]
    assert sum(built) == 2
    assert [one.kept for one in plans] == [(1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)]
    indices = [{c.module: c.after for c in one.changes if c.name == "layer_idx"} for one in plans]
    assert indices[0]["model.layers.3.self_attn"] == 2
    assert "model.layers.0.self_attn" not in indices[1]
    assert indices[3] == {}


def test_removals_that_leave_other_kinds_of_blocks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    built = count_skeletons(monkeypatch)
    stack = find_stack(tiny.sliding_qwen2()).with_settings({})
    for block in range(4):
        plan_removal(stack, (block,))
    assert sum(built) == 5
