"""Which units go: the most that a budget pays, equally in all blocks or by score alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from depthprune.base.errors import DepthpruneError, ModelError
from depthprune.widths import PruneOptions
from depthprune.widths.choose import Kept, Scores, choose, removed_parameters, weighed
from depthprune.widths.layout import UnitMap, find_layout
from depthprune.widths.plan import plan_whole, plan_widths
from tests.structure.shapes import LLAMA_3_8B_PARAMETERS, SMALL_LLAMA, llama_shapes, write_llama


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> UnitMap:
    """Llama-3-8B by the headers of its files."""
    return find_layout(plan_whole(write_llama(tmp_path_factory.mktemp("large"))))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> UnitMap:
    """Four blocks of 2 groups and 48 channels, hidden size 32."""
    return find_layout(plan_whole(write_llama(tmp_path_factory.mktemp("small"), SMALL_LLAMA)))


def chance(layout: UnitMap, seed: int = 0, groups: float = 1.0) -> Scores:
    generator = np.random.default_rng(seed)
    return [
        {
            "groups": generator.random(layout.groups) * groups,
            "channels": generator.random(layout.channels),
        }
        for _ in layout.blocks
    ]


def test_a_unit_has_the_parameters_that_the_users_models_lost(large: UnitMap) -> None:
    assert large.parameters == {"groups": 5_242_880, "channels": 12_288}


@pytest.mark.parametrize(
    ("groups_first", "remainder", "after"),
    [(0, 0, 6_424_219_648), (1, 1, 6_424_211_456), (2, 2, 6_424_215_552), (9, 0, 6_424_219_648)],
)
def test_global_widths_of_llama_3_8b_spend_the_budget_to_the_last_channel(
    large: UnitMap, groups_first: int, remainder: int, after: int
) -> None:
    scores = chance(large, groups=1e9)  # groups last, but for some
    for number in range(groups_first):
        scores[number]["groups"][0] = -1.0
    how = PruneOptions(ratio=0.2, widths="global")
    kept = choose(large, scores, LLAMA_3_8B_PARAMETERS, how)
    lost = sum(8 - len(one.groups) for one in kept)
    assert (lost, lost % 3) == (groups_first, remainder)
    assert LLAMA_3_8B_PARAMETERS - removed_parameters(large, kept) == after


@pytest.mark.parametrize(
    ("multiple", "channels", "after"), [(1, 10_252, 6_424_367_104), (128, 10_240, 6_419_648_512)]
)
def test_uniform_widths_of_llama_3_8b(
    large: UnitMap, multiple: int, channels: int, after: int, tmp_path: Path
) -> None:
    how = PruneOptions(ratio=0.2, multiple_of=multiple)
    kept = choose(large, chance(large), LLAMA_3_8B_PARAMETERS, how)
    assert {(len(one.groups), len(one.channels)) for one in kept} == {(8, channels)}
    whole = plan_whole(large.blocks[0]["mlp.up_proj.weight"].file.parent)
    plan, files = plan_widths(whole, large, kept, LLAMA_3_8B_PARAMETERS, how)
    assert (plan.bytes_after, files) == (2 * after, {})
    assert plan.pruned is not None and plan.pruned.parameters_after == after
    assert [(one.path, one.before, one.after) for one in plan.fields] == [
        ("intermediate_size", 14_336, channels)
    ]


def test_heads_of_llama_3_8b_that_do_not_divide_the_hidden_size(large: UnitMap) -> None:
    how = PruneOptions(ratio=0.2, keep_kv_heads=6)
    kept = choose(large, chance(large), LLAMA_3_8B_PARAMETERS, how)
    assert {len(one.groups) for one in kept} == {6}
    after = LLAMA_3_8B_PARAMETERS - removed_parameters(large, kept)
    assert 0 <= after - (LLAMA_3_8B_PARAMETERS - 1_606_052_249) < 32 * 12_288


def slow_global(layout: UnitMap, scores: Scores, budget: int, least: int = 0) -> list[Kept]:
    """Take the unit with the lowest score of all that the budget pays, again and again."""
    left = [(set(range(layout.groups)), set(range(layout.channels))) for _ in scores]
    while True:
        found = [
            (scores[block]["channels" if kind else "groups"][unit], block, kind, unit)
            for block, kinds in enumerate(left)
            for kind, units in enumerate(kinds)
            for unit in units
            if len(units) > (0 if kind else least)
            and layout.parameters["channels" if kind else "groups"] <= budget
        ]
        if not found:
            return [Kept(tuple(sorted(one)), tuple(sorted(two))) for one, two in left]
        _, block, kind, unit = min(found)
        left[block][kind].remove(unit)
        budget -= layout.parameters["channels" if kind else "groups"]


@pytest.mark.parametrize("seed", range(5))
def test_global_widths_take_the_lowest_scores_first(small: UnitMap, seed: int) -> None:
    scores = chance(small, seed, groups=4)
    how = PruneOptions(ratio=0.3, widths="global", keep_kv_heads=1)
    total = 4 * 7000
    kept = choose(small, scores, total, how)
    assert list(kept) == slow_global(small, scores, int(0.3 * total), least=1)


def test_equal_scores_go_from_the_first_block_on(small: UnitMap) -> None:
    scores: Scores = [{"groups": np.ones(2), "channels": np.ones(48)} for _ in range(4)]
    how = PruneOptions(ratio=0.1, widths="global", keep_kv_heads=2)
    kept = choose(small, scores, 9600, how)  # ten channels
    assert kept[0].channels == tuple(range(10, 48))
    assert kept[1].channels == tuple(range(48))
    uniform = choose(small, scores, 9600 * 4, PruneOptions(ratio=0.1))
    assert {one.channels for one in uniform} == {tuple(range(10, 48))}


def test_protected_blocks_lose_nothing_and_a_share_of_every_other_stays(small: UnitMap) -> None:
    scores = chance(small)
    for block in (0, 3):
        scores[block]["channels"][:] = -1.0
    how = PruneOptions(ratio=0.3, widths="global", protect_layers=("0",), keep_at_least=0.5)
    kept = choose(small, scores, 4 * 6000, how)
    assert kept[0] == Kept((0, 1), tuple(range(48)))
    assert len(kept[3].channels) == 24
    assert all(len(one.groups) >= 1 for one in kept)


def test_channels_are_rounded_down_to_a_multiple_by_their_scores(small: UnitMap) -> None:
    scores = chance(small)
    how = PruneOptions(ratio=0.2, widths="global", multiple_of=8, keep_kv_heads=2)
    kept = choose(small, scores, 4 * 7000, how)
    for one, score in zip(kept, scores, strict=True):
        assert len(one.channels) % 8 == 0
        gone = set(range(48)) - set(one.channels)
        lowest = sorted(range(48), key=lambda channel: score["channels"][channel])
        assert gone == set(lowest[: len(gone)])


def test_a_block_that_would_be_emptied_is_told_with_what_to_do(small: UnitMap) -> None:
    scores = chance(small)
    scores[2]["channels"][:] = -1.0
    with pytest.raises(DepthpruneError, match="block 2 would lose all MLP channels") as told:
        choose(small, scores, 4 * 7000, PruneOptions(ratio=0.3, widths="global"))
    assert "keep_at_least" in str(told.value)


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.1, 1.5, float("nan"), float("inf")])
def test_a_ratio_that_is_no_share_is_refused(ratio: float) -> None:
    with pytest.raises(DepthpruneError, match="ratio"):
        PruneOptions(ratio=ratio)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ratio": 0.0001}, "the least that can go"),
        ({"ratio": 0.0001, "widths": "global"}, "the least that can go"),
        ({"ratio": 0.95}, "remove a smaller share"),
        ({"ratio": 0.95, "widths": "global"}, "can go"),
        ({"ratio": 0.1, "keep_kv_heads": 1}, "keep_kv_heads=1 alone removes"),
        ({"keep_kv_heads": 3}, "3 key-value heads cannot stay: a block has 2"),
        ({"multiple_of": 64}, "fewer than multiple_of=64"),
        ({"widths": "global", "protect_layers": ("0-3",)}, "can go"),
        ({"widths": "global", "protect_layers": ("2-7",)}, "there are no blocks 2-7"),
        ({"widths": "global", "protect_layers": ("2-",)}, "neither a block nor a range"),
        ({"widths": "global", "protect_layers": ("first",)}, "neither a block nor a range"),
        ({"widths": "global", "protect_layers": ("3-1",)}, "there are no blocks 3-1"),
    ],
)
def test_options_that_do_not_fit_the_model_are_told(
    small: UnitMap, options: dict[str, object], words: str
) -> None:
    total = sum(int(np.prod(shape)) for shape in llama_shapes(SMALL_LLAMA).values())
    with pytest.raises(DepthpruneError, match=words):
        choose(small, chance(small), total, PruneOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"protect_layers": ("1",)}, {"keep_at_least": 0.1}])
def test_blocks_that_differ_are_no_uniform_widths(options: dict[str, object]) -> None:
    with pytest.raises(DepthpruneError, match="uniform widths are all alike"):
        PruneOptions(**options)  # type: ignore[arg-type]


def test_methods_that_are_not_there_are_told() -> None:
    with pytest.raises(DepthpruneError, match="structure analyze"):
        PruneOptions(method="slicegpt")
    with pytest.raises(DepthpruneError, match="choose one of magnitude, wanda, taylor"):
        PruneOptions(method="obs")


def test_a_score_that_is_not_a_number_is_told(small: UnitMap) -> None:
    scores = chance(small)
    scores[1]["channels"][5] = float("nan")
    with pytest.raises(ModelError, match="block 1"):
        choose(small, scores, 4 * 7000, PruneOptions(ratio=0.2))


def test_llm_pruner_takes_what_its_published_model_lost(large: UnitMap, small: UnitMap) -> None:
    how = PruneOptions(method="llm-pruner", widths="global")
    kept = choose(large, chance(large), LLAMA_3_8B_PARAMETERS, how)
    whole = Kept(tuple(range(8)), tuple(range(14_336)))
    assert [block for block, one in enumerate(kept) if one == whole] == [0, 1, 2, 3, 30, 31]
    assert {(len(one.groups), len(one.channels)) for one in kept[4:30]} == {(6, 10_321)}
    lost = (
        sum(8 - len(one.groups) for one in kept),
        sum(14_336 - len(one.channels) for one in kept),
    )
    assert lost == (52, 104_390)
    with pytest.raises(DepthpruneError, match="of 4 blocks none is left"):
        choose(small, chance(small), 4 * 7000, how)


def test_hgsp_weighs_the_units_of_a_block_by_its_drop() -> None:
    scores: Scores = [{"groups": np.array([2.0]), "channels": np.array([3.0])} for _ in range(3)]
    drops = {0: 0.5, 1: -0.1, 2: 0.0}
    found = weighed(scores, drops, 2.0)
    assert found[0]["groups"].tolist() == pytest.approx([2 * np.log(1.5) ** 2])
    assert [one["channels"].tolist() for one in found[1:]] == [[0.0], [0.0]]
    assert [one["groups"].tolist() for one in weighed(scores, drops, 0.0)] == [[2.0]] * 3
    with pytest.raises(DepthpruneError, match="has not measured the drop of every single block"):
        weighed(scores, {0: 0.1, 1: 0.2}, 1.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "hgsp", "study": Path("s")}, "hgsp makes blocks differ"),
        ({"method": "llm-pruner"}, "llm-pruner makes blocks differ"),
        ({"method": "hgsp", "widths": "global"}, "which a study has measured"),
        ({"method": "taylor", "study": Path("s")}, "no other method reads one"),
        ({"temperature": float("nan")}, "temperature must be"),
    ],
)
def test_methods_that_do_not_fit_their_options_are_told(
    options: dict[str, object], words: str
) -> None:
    with pytest.raises(DepthpruneError, match=words):
        PruneOptions(**options)  # type: ignore[arg-type]
