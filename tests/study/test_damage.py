"""DamagedRow to what is stored is told with task, split and removal, and is never a result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from depthprune.base.errors import DamagedError, StudyError
from depthprune.base.removal import Removal
from depthprune.study import StudyStore
from depthprune.study.integrity import check_study, repair_study
from depthprune.study.races import RaceChunk, RaceRecord
from tests.study.example import (
    MODEL,
    REMOVALS,
    SETTINGS,
    SPLIT,
    add,
    answers_of,
    filled_study,
    scores_of,
)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE measurement SET accuracy = 0.123 WHERE removal = '1'",
        "UPDATE measurement SET removal = '2' WHERE removal = '1'",
        "UPDATE measurement SET removal = '7-10' WHERE removal = '1'",
        "UPDATE measurement SET std = 0.9 WHERE removal = '1'",
        "UPDATE measurement SET num_samples = 7 WHERE removal = '1'",
        "UPDATE measurement SET origin = '/there' WHERE removal = '1'",
        "UPDATE settings SET text = 'greedy dtype=float16'",
        "UPDATE split SET checksum = '0123456789abcdef'",
    ],
)
def test_a_changed_column_is_told_before_any_drop(tmp_path: Path, damage: str) -> None:
    with filled_study(tmp_path, [(), (1,)]) as study:
        study._connection.execute(damage)
        (settings,) = study._query("SELECT text FROM settings")[0]
        with pytest.raises(StudyError, match=r"damaged: demo_okvqa train\+validation, removal"):
            study.drops(1, settings)
        with pytest.raises(StudyError, match="damaged"):
            study.measurements(with_samples=False)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE samples SET scores = zeroblob(32) WHERE measurement_id = 2",
        "UPDATE samples SET answers = (SELECT answers FROM samples) WHERE measurement_id = 2",
        "UPDATE samples SET measurement_id = 7 WHERE measurement_id = 2",
        "DELETE FROM samples WHERE measurement_id = 2",
    ],
)
def test_changed_samples_are_told_with_their_removal(tmp_path: Path, damage: str) -> None:
    with filled_study(tmp_path, [(), (1, 4)]) as study:
        study._connection.execute("PRAGMA foreign_keys = OFF")
        study._connection.execute(damage)
        with pytest.raises(StudyError, match=r"demo_okvqa train\+validation, removal 1-4,"):
            study.measurement(1, SETTINGS, (1, 4))
        assert study.measurement(1, SETTINGS, ()) is not None


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE split SET metric = 'anls'",
        "UPDATE split SET sample_ids = pictures",
        "UPDATE split SET role = 'verification'",
        "UPDATE model SET num_blocks = 7",
        "UPDATE identity SET fields = zeroblob(9)",
        "UPDATE identity SET digest = '0123456789abcdef'",
    ],
)
def test_what_a_study_says_of_model_and_splits_is_checked(tmp_path: Path, damage: str) -> None:
    model = replace(MODEL, identity={"chat template": {"": "{{ messages }}"}})
    with StudyStore.open(tmp_path, model=model) as study:
        add(study, ())
        study._connection.execute(damage)
    with (
        pytest.raises(StudyError, match="damaged"),
        StudyStore.open(tmp_path, read_only=True) as study,
    ):
        assert study.splits(None) == []
        raise StudyError(study.damage[0])


def test_damaged_prompts_are_told(tmp_path: Path) -> None:
    with filled_study(tmp_path, [()]) as study:
        study.keep_prompts(1, SETTINGS, [("a",)] * len(SPLIT.sample_ids))
        study._connection.execute("UPDATE prompts SET texts = zeroblob(20)")
        with pytest.raises(StudyError, match="the prompts of demo_okvqa"):
            study.prompts(1, SETTINGS)


def test_a_reader_leaves_out_what_is_damaged_and_names_it(tmp_path: Path) -> None:
    with filled_study(tmp_path, [(), (1,), (2,), (1, 4)]) as study:
        study._connection.execute("UPDATE measurement SET removal = '7-10' WHERE removal = '1'")
        study._connection.execute("UPDATE samples SET scores = zeroblob(32) WHERE measurement_id=4")
    with StudyStore.open(tmp_path, read_only=True) as study:
        assert list(study.drops(1, SETTINGS)) == [(), (2,), (1, 4)]
        assert [one.removal for one in study.measurements()] == [(), (2,)]
        assert [what.split("removal ")[1].split(",")[0] for what in study.damage] == ["7-10", "1-4"]


def test_scores_that_are_not_those_of_the_accuracy_are_told_in_old_studies_too(
    tmp_path: Path,
) -> None:
    with filled_study(tmp_path, [(), (1,)]) as study:
        study._connection.execute("UPDATE measurement SET checksum = '', scores_checksum = NULL")
        study._connection.execute("UPDATE samples SET scores = zeroblob(32) WHERE measurement_id=2")
    with StudyStore.open(tmp_path, read_only=True) as study:
        assert [one.removal for one in study.measurements()] == [()]
        assert len(study.damage) == 1


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_deleted_or_replaced_is_noticed_before_the_next_measurement(
    tmp_path: Path, replaced: bool
) -> None:
    study = filled_study(tmp_path, [()])
    path = tmp_path / "study.db"
    content = path.read_bytes()
    path.unlink()
    if replaced:
        (tmp_path / "other").write_bytes(content)
        (tmp_path / "other").rename(path)
    with pytest.raises(StudyError, match="deleted or replaced while it was written"):
        study.missing(1, [(1,)], SETTINGS)
    with pytest.raises(StudyError, match="deleted or replaced while it was written"):
        add(study, (1,), key=1)
    study.close()


DAMAGES = {
    "UPDATE measurement SET accuracy = 0.1 WHERE removal = '1'": {(1,)},
    "UPDATE samples SET answers = zeroblob(9) WHERE measurement_id = 3": {(2,)},
    "UPDATE measurement SET settings_id = 77 WHERE removal = '1'": {(1,)},
    "UPDATE measurement SET split_id = 77 WHERE removal = '2'": {(2,)},
    "UPDATE split SET metric = 'anls'": {(), (1,), (2,)},
    "UPDATE prompts SET texts = zeroblob(9)": set(),
    "UPDATE run SET how = '{'": set(),
    """UPDATE run SET how = '{"samples": 9}'""": set(),
    "UPDATE run SET created = '2020-01-01T00:00:00+00:00'": set(),
    "UPDATE stopped SET removal = '3-4'": set(),
    "UPDATE stopped SET num_samples = 3": set(),
    "UPDATE race SET candidates = '3;5'": set(),
    "UPDATE race SET confidence = 0.5": set(),
    "UPDATE accepted SET split_id = 9": set(),
    "UPDATE cut SET measurement_id = 9 WHERE measurement_id = 3": set(),
    "UPDATE race_chunk SET scores = zeroblob(4)": set(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_listed_dropped_and_measured_anew(tmp_path: Path, damage: str) -> None:
    removals: list[Removal] = [(), (1,), (2,)]
    with StudyStore.open(tmp_path, model=MODEL) as study:
        fill(study, removals)
        study._connection.execute("PRAGMA foreign_keys = OFF")
        study._connection.execute(damage)
    whole = (tmp_path / "study.db").read_bytes()
    found = check_study(tmp_path)
    assert len(found) == 1
    assert (tmp_path / "study.db").read_bytes() == whole

    assert repair_study(tmp_path) == found
    assert check_study(tmp_path) == []
    with StudyStore.open(tmp_path, model=MODEL) as study:
        key = study.add_split(SPLIT)
        assert set(study.missing(key, removals, SETTINGS)) == DAMAGES[damage]
        fill(study, removals)
        assert [one.removal for one in study.measurements(key, SETTINGS)] == removals
        study.runs()
    assert check_study(tmp_path) == []


def fill(study: StudyStore, removals: list[Removal]) -> None:
    """Measure what is missing, with everything that a search stores beside it."""
    study.begin_run({"samples": 8})
    key = study.add_split(SPLIT)
    study.keep_prompts(key, SETTINGS, [("a",)] * len(SPLIT.sample_ids))
    study.keep_references(key, [("a",)] * len(SPLIT.sample_ids))
    race = study.race(RaceRecord((key,), SETTINGS, 0.95, "", ((3,), (4,))))
    if not race.chunks(key, (3,)):
        places = np.arange(2, dtype=np.int32)
        race.add_chunk(key, (3,), RaceChunk(0, places, scores_of((3,))[:2], ("a", "b"), 0.1))
    race.stop([(4,)], 2)
    for removal in study.missing(key, removals, SETTINGS):
        study.add(key, SETTINGS, removal, scores_of(removal), answers_of(removal), 0.25, cut=[1])


def test_what_cannot_be_dropped_is_an_error_and_nothing_changes(tmp_path: Path) -> None:
    with filled_study(tmp_path, [()]) as study:
        study._connection.execute("UPDATE model SET num_blocks = 7")
    before = (tmp_path / "study.db").read_bytes()
    for look_after in (check_study, repair_study):
        with pytest.raises(StudyError, match="what it says about its model"):
            look_after(tmp_path)
    assert (tmp_path / "study.db").read_bytes() == before


def test_a_study_in_use_is_not_repaired(tmp_path: Path) -> None:
    with filled_study(tmp_path, [()]) as study:
        study._connection.execute("UPDATE measurement SET accuracy = 0.1")
        with pytest.raises(StudyError, match="being written"):
            repair_study(tmp_path)


@pytest.mark.parametrize("seed", range(14))
def test_flipped_bits_are_told_or_harmless(tmp_path: Path, seed: int) -> None:
    """20 bits of a study are flipped: whatever is still read is what was stored."""
    with StudyStore.open(tmp_path, model=MODEL) as study:
        fill(study, list(REMOVALS[:30]))
        true = {
            one.removal: (one.accuracy, one.answers, one.scores.tobytes())
            for one in study.measurements()
            if one.scores is not None
        }
        drops = study.drops(1, SETTINGS)
        runs, stopped = study.runs(), study.stopped(1, SETTINGS)
        references, cut = study.references(1), study.cut_answers(1, SETTINGS, ())
    path = tmp_path / "study.db"
    content = bytearray(path.read_bytes())
    generator = np.random.default_rng(seed)
    for bit in generator.choice(len(content) * 8, 20, replace=False):
        content[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(content)
    try:
        check_study(tmp_path)
        with StudyStore.open(tmp_path, read_only=True) as study:
            for stored in study.splits(None):
                for settings in stored.settings:
                    found = study.drops(stored.key, settings)
                    if () in found:
                        assert found.items() <= drops.items()
            for one in study.measurements():
                assert one.scores is not None
                assert true[one.removal] == (one.accuracy, one.answers, one.scores.tobytes())
            assert study.runs() in (runs, [])
            assert study.stopped(1, SETTINGS) in (stopped, [])
            assert study.references(1) in (references, None)
            assert study.cut_answers(1, SETTINGS, ()) in (cut, None)
    except StudyError as error:
        assert "damaged" in str(error) or "not a study" in str(error) or "cannot" in str(error)


def test_damaged_details_cost_no_measurement(tmp_path: Path) -> None:
    with filled_study(tmp_path, []) as study:
        key = study.add_split(SPLIT)
        study.keep_references(key, [("a", "b")] * 8)
        study.add(key, SETTINGS, (), scores_of(()), answers_of(()), 1.0, cut=[2, 5])
        assert study.references(key) == [("a", "b")] * 8
        assert study.cut_answers(key, SETTINGS, ()) == (2, 5)
        for table, column in (("accepted", "texts"), ("cut", "places")):
            study._connection.execute(f"UPDATE {table} SET {column} = zeroblob(9)")
    with StudyStore.open(tmp_path, read_only=True) as study:
        assert (study.references(key), study.cut_answers(key, SETTINGS, ())) == (None, None)
        assert len(study.damage) == 2
    assert {one.table for one in repair_study(tmp_path)} == {"accepted", "cut"}
    assert check_study(tmp_path) == []
    with StudyStore.open(tmp_path, read_only=True) as study:
        assert len(study.measurements(key)) == 1


def test_a_damaged_measurement_goes_with_what_is_known_of_its_answers(tmp_path: Path) -> None:
    with filled_study(tmp_path, []) as study:
        key = study.add_split(SPLIT)
        study.add(key, SETTINGS, (1,), scores_of((1,)), answers_of((1,)), 1.0, cut=[0])
        study._connection.execute("UPDATE measurement SET accuracy = 0.1")
    repair_study(tmp_path)
    with StudyStore.open(tmp_path, model=MODEL) as study:
        study.add(key, SETTINGS, (1,), scores_of((1,)), answers_of((1,)), 1.0)
        assert study.cut_answers(key, SETTINGS, (1,)) is None


def test_a_study_without_these_tables_is_read_and_gone_on_with(tmp_path: Path) -> None:
    with filled_study(tmp_path, [(), (1,)]) as study:
        key = study.add_split(SPLIT)
        for table in ("accepted", "cut"):
            study._connection.execute(f"DROP TABLE {table}")
    with StudyStore.open(tmp_path, read_only=True) as study:
        assert (study.references(key), study.cut_answers(key, SETTINGS, (1,))) == (None, None)
    assert check_study(tmp_path) == []
    with StudyStore.open(tmp_path, model=MODEL) as study:
        study.add(key, SETTINGS, (2,), scores_of((2,)), answers_of((2,)), 1.0, cut=[])
        assert study.cut_answers(key, SETTINGS, (2,)) == ()


def test_a_study_from_before_seals_is_read_and_sealed_when_it_is_written_to(tmp_path: Path) -> None:
    with StudyStore.open(tmp_path, model=MODEL) as study:
        fill(study, [()])
        study._connection.execute("DROP TABLE seal")
    assert check_study(tmp_path) == []
    with StudyStore.open(tmp_path, read_only=True) as study:
        (run,) = study.runs()
    with StudyStore.open(tmp_path, model=MODEL) as study:
        assert study.runs() == [run]
        study._connection.execute("""UPDATE run SET how = '{"samples": 9}'""")
    with StudyStore.open(tmp_path, read_only=True) as study:
        assert (study.runs(), len(study.damage)) == ([], 1)


def test_a_measurement_whose_losses_are_damaged_is_measured_anew(tmp_path: Path) -> None:
    losses = np.linspace(0, 2, 8, dtype=np.float32)
    with filled_study(tmp_path, []) as study:
        key = study.add_split(SPLIT)
        for removal in ((), (1,)):
            given = (key, SETTINGS, removal, scores_of(removal), answers_of(removal), 1.0)
            study.add(*given, losses=losses)
        assert study.losses(key, SETTINGS)[(1,)].tolist() == losses.tolist()
        where = "WHERE measurement_id = (SELECT id FROM measurement WHERE removal = '1')"
        study._connection.execute(f"UPDATE loss SET losses = zeroblob(32) {where}")
        with pytest.raises(DamagedError, match="the losses of removal 1"):
            study.losses(key, SETTINGS)
    with StudyStore.open(tmp_path, read_only=True) as study:
        assert study.losses(key, SETTINGS) == {}
        assert len(study.damage) == 1
    assert [one.what for one in check_study(tmp_path)] == ["the losses of removal 1"]
    repair_study(tmp_path)
    with StudyStore.open(tmp_path, read_only=True) as study:
        assert list(study.losses(key, SETTINGS)) == list(study.drops(key, SETTINGS)) == [()]


def test_losses_that_changed_places_are_damaged(tmp_path: Path) -> None:
    with filled_study(tmp_path, []) as study:
        key = study.add_split(SPLIT)
        for number, removal in enumerate(((), (1,), (2,))):
            given = (key, SETTINGS, removal, scores_of(removal), answers_of(removal), 1.0)
            study.add(*given, losses=np.full(8, number, np.float32))
        study._connection.execute("PRAGMA foreign_keys = OFF")
        for before, after in ((2, 9), (3, 2), (9, 3)):
            study._connection.execute(
                "UPDATE loss SET measurement_id = ? WHERE measurement_id = ?", (after, before)
            )
    assert {one.what for one in check_study(tmp_path)} == {
        "the losses of removal 1",
        "the losses of removal 2",
    }
