"""The trie of removals: every node once, every removal at its own leaf."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from depthprune.base.removal import Removal, active_blocks
from depthprune.engine.shared.trie_schedule import EARLIER, TrieSchedule, plan_schedule

NUM_BLOCKS = 6

removals = st.lists(
    st.sets(st.integers(0, NUM_BLOCKS - 1), max_size=NUM_BLOCKS - 1).map(
        lambda blocks: tuple(sorted(blocks))
    ),
    min_size=1,
    max_size=8,
    unique=True,
).map(tuple)


def path(schedule: TrieSchedule, removal: int) -> tuple[int, ...]:
    """Return the blocks on the way to a removal's leaf, each checked to follow the other."""
    node: tuple[int, ...] = ()
    for block, call in enumerate(schedule.calls[removal]):
        if call is None:
            continue
        following = (*node, block)
        assert call == EARLIER or schedule.levels[block][call] == following
        node = following
    return node


def test_one_removal_runs_each_of_its_blocks_once() -> None:
    schedule = plan_schedule(((1, 3),), 5)
    assert schedule.levels == (((0,),), (), ((0, 2),), (), ((0, 2, 4),))
    assert schedule.calls == ((0, None, 0, None, 0),)
    assert schedule.last == 4


def test_removals_share_what_comes_before_their_first_difference() -> None:
    schedule = plan_schedule(((2,), (3,)), 4)
    assert [len(level) for level in schedule.levels] == [1, 1, 1, 1]
    assert schedule.nodes == 4


def test_all_single_removals_cost_half() -> None:
    count = 16
    schedule = plan_schedule(tuple((block,) for block in range(count)), count)
    assert schedule.nodes == 15 + sum(count - 1 - block for block in range(count))


@given(removals)
def test_every_removal_reaches_the_leaf_of_the_blocks_it_keeps(chosen: tuple[Removal, ...]) -> None:
    schedule = plan_schedule(chosen, NUM_BLOCKS)
    for place, removal in enumerate(chosen):
        assert path(schedule, place) == active_blocks(removal, NUM_BLOCKS) == schedule.leaves[place]


@given(removals)
def test_no_node_is_visited_twice_or_for_nothing(chosen: tuple[Removal, ...]) -> None:
    schedule = plan_schedule(chosen, NUM_BLOCKS)
    nodes = [node for level in schedule.levels for node in level]
    prefixes = {leaf[:end] for leaf in schedule.leaves for end in range(1, len(leaf) + 1)}
    assert sorted(nodes) == sorted(prefixes)


@given(removals)
def test_a_state_is_dropped_after_its_last_use_and_never_before(
    chosen: tuple[Removal, ...],
) -> None:
    schedule = plan_schedule(chosen, NUM_BLOCKS)
    held = {()}
    for block, level in enumerate(schedule.levels):
        assert {node[:-1] for node in level} <= held
        held |= set(level)
        held -= set(schedule.done_with[block])
    assert held == set(schedule.leaves)


@given(removals, st.data())
def test_known_nodes_are_not_visited_for_their_sake(
    chosen: tuple[Removal, ...], data: st.DataObject
) -> None:
    known = tuple(data.draw(st.integers(0, NUM_BLOCKS - len(removal))) for removal in chosen)
    schedule = plan_schedule(chosen, NUM_BLOCKS, known)
    needed = {
        leaf[:end]
        for leaf, entry in zip(schedule.leaves, known, strict=True)
        for end in range(min(entry, len(leaf) - 1) + 1, len(leaf) + 1)
    }
    assert {node for level in schedule.levels for node in level} == needed
    for place in range(len(chosen)):
        assert path(schedule, place) == schedule.leaves[place]
