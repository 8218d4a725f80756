"""Specification of races in a study: kept apart, gone on with, and added to older studies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from depthprune.base.errors import StudyError
from depthprune.study import StudyStore
from depthprune.study.races import RaceChunk, RaceRecord, check_places
from tests.study.example import SETTINGS, add, filled_study

RECORD = RaceRecord((1,), SETTINGS, 0.95, "width=3 chunk=4", ((0, 1), (0, 2), (1, 2)))


def chunk(start: int = 0, number: int = 4) -> RaceChunk:
    places = np.arange(start, start + number, dtype=np.int32)[::-1]
    scores = np.linspace(0, 1, number, dtype=np.float32)
    return RaceChunk(start, places, scores, tuple(f"é{place}\0" for place in places), 0.5)


def test_chunks_come_back_as_they_were_stored(tmp_path: Path) -> None:
    with filled_study(tmp_path, [()]) as study:
        race = study.race(RECORD)
        race.add_chunk(1, (0, 2), chunk(4))
        race.add_chunk(1, (0, 2), chunk(0))
    with StudyStore.open(tmp_path) as study:
        race = study.race(RECORD)
        first, second = race.chunks(1, (0, 2))
        assert (first, second) == (chunk(0), chunk(4))
        assert first.places.tolist() == chunk(0).places.tolist()
        assert first.scores.tolist() == chunk(0).scores.tolist()
        found = race.chunk_scores(1, (0, 2), 4)
        assert found is not None
        assert found.tolist() == chunk(4).scores.tolist()
        assert race.chunk_scores(1, (0, 2), 8) is None
        assert race.chunks(1, (0, 1)) == []
        race.forget(1, (0, 2))
        assert race.chunks(1, (0, 2)) == []


def test_any_difference_makes_another_race(tmp_path: Path) -> None:
    with filled_study(tmp_path, [()]) as study:
        study.race(RECORD).stop([(0, 1)], 4)
        for other in (
            replace(RECORD, confidence=0.9),
            replace(RECORD, options="width=4 chunk=4"),
            replace(RECORD, candidates=RECORD.candidates[:2]),
            replace(RECORD, settings="greedy dtype=bfloat16"),
            replace(RECORD, splits=(1, 2)),
        ):
            assert study.race(other).stopped() == {}
        assert study.race(RECORD).stopped() == {(0, 1): 4}


def test_a_stopped_candidate_is_no_measurement(tmp_path: Path) -> None:
    with filled_study(tmp_path, [(), (0,)]) as study:
        race = study.race(RECORD)
        race.add_chunk(1, (0, 1), chunk())
        race.stop([(0, 1), (0, 2)], 4)
        race.stop([(0, 1)], 6)
        assert [one.removal for one in study.measurements()] == [(), (0,)]
        assert set(study.drops(1, SETTINGS)) == {(), (0,)}
        assert study.missing(1, [(0, 1)], SETTINGS) == [(0, 1)]
        assert study.splits()[0].settings == (SETTINGS,)
        stopped = study.stopped(1, SETTINGS)
        assert [(one.removal, one.num_samples) for one in stopped] == [((0, 1), 4), ((0, 2), 4)]
        assert stopped[0].race == RECORD
        assert stopped[0].created.endswith("+00:00")
        assert study.stopped(2, SETTINGS) == []
        assert study.stopped(1, "other") == []


def test_a_full_measurement_wins_over_a_stop(tmp_path: Path) -> None:
    with filled_study(tmp_path, [()]) as study:
        study.race(RECORD).stop([(0, 1), (0, 2)], 4)
        add(study, (0, 1))
        assert [one.removal for one in study.stopped(1, SETTINGS)] == [(0, 2)]


@pytest.mark.parametrize(
    "wrong",
    [
        replace(chunk(), scores=np.zeros(3, np.float32)),
        replace(chunk(), answers=("a",)),
        replace(chunk(), places=np.zeros(0, np.int32)),
        replace(chunk(), scores=np.array([0, 1, np.nan, 0], np.float32)),
    ],
)
def test_chunks_that_make_no_sense_are_refused(tmp_path: Path, wrong: RaceChunk) -> None:
    with filled_study(tmp_path, [()]) as study:
        race = study.race(RECORD)
        with pytest.raises(StudyError):
            race.add_chunk(1, (0, 1), wrong)
        assert race.chunks(1, (0, 1)) == []


def test_a_chunk_is_stored_once(tmp_path: Path) -> None:
    with filled_study(tmp_path, [()]) as study:
        race = study.race(RECORD)
        race.add_chunk(1, (0, 1), chunk())
        with pytest.raises(StudyError):
            race.add_chunk(1, (0, 1), chunk())


def test_a_race_that_saw_a_sample_twice_or_never_is_refused() -> None:
    check_places([2, 0, 1], 3)
    for places in ([0, 1], [0, 1, 1], [0, 1, 3]):
        with pytest.raises(StudyError, match="3 different samples"):
            check_places(places, 3)


@pytest.mark.parametrize("column", ["places", "scores", "answers", "seconds"])
def test_a_damaged_chunk_is_named_not_used(tmp_path: Path, column: str) -> None:
    with filled_study(tmp_path, [()]) as study:
        race = study.race(RECORD)
        race.add_chunk(1, (0, 1), chunk())
        study._connection.execute(f"UPDATE race_chunk SET {column} = ?", (b"\0" * 16,))
        for read in (lambda: race.chunks(1, (0, 1)), lambda: race.chunk_scores(1, (0, 1), 0)):
            with pytest.raises(StudyError, match="damaged: what a race saw of removal 0,1"):
                read()
