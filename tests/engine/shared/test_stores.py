"""What is kept between calls: in memory, in files, or not at all."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch

from depthprune.engine.shared.prefix_state import PrefixState, PrefixStore
from depthprune.engine.shared.trie_schedule import HiddenStateCache

KEYS = [(0, 0, start, start + 2) for start in range(4)]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def prefix(seed: int) -> PrefixState:
    """Return a prefix state of 2 x 3 x 8 floats, and a mask of as many bytes as it has entries."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(2, 1, 3, 3, generator=generator) > 0.5
    return PrefixState(torch.rand(2, 3, 8, generator=generator), (None, mask), (3, 2), 0, "left")


SIZE = 2 * 3 * 8 * 4 + 2 * 3 * 3


def assert_equal(found: PrefixState | None, expected: PrefixState) -> None:
    assert found is not None
    assert torch.equal(found.hidden, expected.hidden)
    assert found.tensors[0] is None
    assert found.tensors[1] is not None and expected.tensors[1] is not None
    assert torch.equal(found.tensors[1], expected.tensors[1])
    assert (found.lengths, found.ahead, found.side) == ((3, 2), 0, "left")


def filled(room: int, disk_room: int) -> PrefixStore:
    store = PrefixStore(room, disk_room)
    for seed, key in enumerate(KEYS):
        store.put(key, prefix(seed))
    return store


@pytest.mark.parametrize("room", [0, SIZE, 2 * SIZE, 10 * SIZE])
def test_stems_come_back_from_memory_or_disk(room: int) -> None:
    store = filled(room, 10 * SIZE)
    for _ in range(2):
        for seed, key in enumerate(KEYS):
            assert_equal(store.get(key), prefix(seed))
    assert store.num_bytes() <= room


def test_what_goes_beyond_memory_and_disk_is_forgotten() -> None:
    store = filled(SIZE, SIZE)
    found = [store.get(key) is not None for key in KEYS]
    assert 1 <= sum(found) < len(KEYS)


def test_a_stem_that_was_never_put_is_not_there() -> None:
    assert PrefixStore(0, 0).get(KEYS[0]) is None


def test_a_full_disk_is_said_and_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, folders: Path
) -> None:
    def full(_: object, path: Path) -> None:
        path.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    store = filled(0, 10 * SIZE)
    assert store.get(KEYS[0]) is None
    assert [record.message for record in caplog.records] == [
        "inputs cannot be kept on disk and are computed anew: No space left on device"
    ]
    assert list(folders.rglob("*.safetensors")) == []


def test_a_damaged_file_is_computed_anew(folders: Path) -> None:
    store = filled(0, 10 * SIZE)
    for path in folders.rglob("*.safetensors"):
        path.write_bytes(b"broken")
    assert store.get(KEYS[0]) is None


def test_files_are_private_and_go_with_the_store(folders: Path) -> None:
    store = filled(0, 10 * SIZE)
    (folder,) = folders.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    store.forget(0)
    assert list(folder.iterdir()) == []
    assert all(store.get(key) is None for key in KEYS)
    del store
    gc.collect()
    assert list(folders.iterdir()) == []


# Hidden states


def test_states_come_back_by_rows_and_positions() -> None:
    store = HiddenStateCache(2**20)
    store.use(0, 1)
    states = store.begin((0, 0, 0, 3), [(), (), ()], 4, 1)
    assert states is not None
    state = torch.rand(2, 3, 8)
    states.rows(1, 3, 1, 3).put((0,), state)
    assert torch.equal(states.rows(2, 3, 1, 3).get((0,)), state[1:])
    assert states.rows(1, 3, 1, 3).known() == {(0,)}
    assert states.rows(0, 3, 0, 4).known() == frozenset()


def test_a_state_is_kept_only_with_those_on_the_way_to_it() -> None:
    store = HiddenStateCache(2**20)
    store.use(0, 1)
    states = store.begin((0, 0, 0, 1), [()], 3, 1)
    assert states is not None
    rows = states.rows(0, 1, 0, 3)
    rows.put((0, 1), torch.rand(1, 3, 8))
    assert rows.known() == frozenset()


def test_states_stay_within_their_room() -> None:
    size = 3 * 8 * 4
    store = HiddenStateCache(2 * size)
    store.use(0, 1)
    states = store.begin((0, 0, 0, 1), [()], 3, size)
    assert states is not None
    rows = states.rows(0, 1, 0, 3)
    for node in ((0,), (0, 1), (0, 1, 2)):
        rows.put(node, torch.rand(1, 3, 8))
    assert rows.known() == {(0,), (0, 1)}
    assert states.num_bytes() == 2 * size
    assert store.begin((0, 0, 1, 2), [()], 3, 3 * size) is None


def test_splits_used_in_turns_share_the_room_and_others_leave() -> None:
    store = HiddenStateCache(1000)
    for memory in (0, 1):
        store.use(memory, 1)
        assert store.begin((memory, 0, 0, 1), [()], 1, 1) is not None
    store.use(0, 1)
    states = store.begin((0, 0, 1, 2), [()], 1, 1)
    assert states is not None
    assert states.room == 500
    store.use(0, 1)
    assert store.get((1, 0, 0, 1)) is None
    assert store.clear()
    assert not store.clear()
