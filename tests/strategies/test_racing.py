"""Specification of raced searches: the same beams, fewer answers, and nothing mixed."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depthprune.base.errors import DepthpruneError
from depthprune.base.removal import Removal
from depthprune.engine.session import Session, SplitGroup, mean_drops
from depthprune.strategies import Beam, Greedy, RaceOptions, SearchSpace
from depthprune.strategies.one_shot import Compared
from depthprune.strategies.options import SearchChoice
from depthprune.strategies.pipeline import one_shot_by_key
from depthprune.strategies.racing import RaceReport, check_race, raced_beam, raced_splits
from depthprune.strategies.runner import RunReport, most_work, run
from depthprune.strategies.strategy import STOPPED
from depthprune.study import StudyStore, write_result_files
from depthprune.tasks.task import Task
from tests.strategies.fakes import SETTINGS, NoSource, make_split, open_study
from tests.strategies.raced import Killed, SlicingEvaluator, gradient
from tests.strategies.test_pipeline import CountingBar

NUM_SAMPLES = 200
SPACE = SearchSpace(8)
SPLIT = make_split("okvqa", NUM_SAMPLES)
ALONE = SplitGroup((SPLIT,))
JOINT = SplitGroup((SPLIT, make_split("doc_qa", 120)), (0.25, 0.75))
SCORES = gradient(NUM_SAMPLES)
RACE = RaceOptions(chunk=20)
SEEDED = replace(SPACE, seed=1)


def strategy(**options: Any) -> Compared:
    return Compared(Beam(**({"width": 2, "max_removed": 3} | options)))


def in_full(study: StudyStore, engine: SlicingEvaluator, group: SplitGroup, **options: Any) -> None:
    """Search without racing."""
    run(strategy(**options), SPACE, Session(study, engine), group)


def evaluator(**options: Any) -> SlicingEvaluator:
    return SlicingEvaluator(SCORES, **options)


def raced(
    study: StudyStore,
    engine: SlicingEvaluator,
    group: SplitGroup = ALONE,
    options: RaceOptions = RACE,
    space: SearchSpace = SEEDED,
    **search: Any,
) -> tuple[RunReport, RaceReport]:
    report = run(strategy(race=options, **search), space, Session(study, engine), group)
    (race,) = report.races
    return report, race


def drops(study: StudyStore, group: SplitGroup = ALONE) -> list[dict[Removal, float]]:
    return Session(study, evaluator()).tables(group)


def shots(study: StudyStore, stopped: Any = (), **search: Any) -> dict[int, dict[int, Removal]]:
    return one_shot_by_key(strategy(**search), SPACE, Session(study, evaluator()), ALONE, stopped)


def beams(told: Mapping[Removal, float], width: int = 2) -> list[tuple[Removal, ...]]:
    return [step.beam for step in Beam(width, max_removed=3).steps(SPACE, told)]


def contents(folder: Path) -> dict[str, list[Any]]:
    """Return every row of the study but times."""
    queries = {
        "measurement": "SELECT split_id, removal, accuracy, num_samples FROM measurement",
        "samples": "SELECT removal, scores, answers FROM samples JOIN measurement "
        "ON measurement.id = measurement_id",
        "race": "SELECT splits, options, candidates FROM race",
        "chunk": "SELECT candidates, split_id, removal, start, places, scores, answers "
        "FROM race_chunk JOIN race ON race.id = race_id",
        "stopped": "SELECT candidates, removal, num_samples FROM stopped "
        "JOIN race ON race.id = race_id",
    }
    with closing(sqlite3.connect(folder / "study.db")) as connection:
        return {name: sorted(connection.execute(query)) for name, query in queries.items()}


@pytest.mark.parametrize("group", [ALONE, JOINT], ids=["alone", "joint"])
def test_a_raced_search_keeps_the_beams_of_the_full_one_with_fewer_answers(
    tmp_path: Path, group: SplitGroup
) -> None:
    full, fast = evaluator(), evaluator()
    with open_study(tmp_path / "full") as study:
        in_full(study, full, group)
        expected = drops(study, group)
    with open_study(tmp_path / "fast") as study:
        report, race = raced(study, fast, group)
        found = drops(study, group)
    assert fast.evaluations == race.evaluated < 0.8 * full.evaluations
    assert race.saved == full.evaluations - fast.evaluations
    assert race.without_racing == full.evaluations
    assert report.measured == sum(map(len, found))
    for one, whole in zip(found, expected, strict=True):
        # Whatever is measured is measured in full, in the order of the split.
        assert one == {removal: whole[removal] for removal in one}
        told = dict.fromkeys(race.stopped, STOPPED) | one
        assert told.keys() == whole.keys()
    told = dict.fromkeys(race.stopped, STOPPED) | mean_drops(found, group.weights)
    assert beams(told) == beams(mean_drops(expected, group.weights))


def test_the_mean_over_the_samples_of_a_joint_race_is_the_weighted_mean_of_its_tasks(
    tmp_path: Path,
) -> None:
    with open_study(tmp_path) as study:
        first, second = raced_splits(Session(study, evaluator()), JOINT, 20, seed=3)
    weighted = first.factor * SCORES("okvqa", (1,)), second.factor * SCORES("doc_qa", (1,))[:120]
    means = SCORES("okvqa", (1,)).mean(), SCORES("doc_qa", (1,))[:120].mean()
    assert np.concatenate(weighted).mean() == pytest.approx(0.25 * means[0] + 0.75 * means[1])
    # Every sample of every task has its turn, in one order.
    assert sorted([*first.turns, *second.turns]) == list(range(320))
    assert [
        int(one.id.rpartition("-")[2]) for one in first.visit.split.samples
    ] == first.visit.places.tolist()
    assert first.visit.split.fingerprint != SPLIT.fingerprint


def test_a_stopped_candidate_is_neither_missing_nor_in_the_beam() -> None:
    told = {(): 0.0} | {(block,): 0.1 * block for block in range(8)}
    told |= {(0, block): STOPPED for block in range(2, 8)} | {(0, 1): 0.5}
    _, step, *_ = Beam(1, max_removed=3).steps(SPACE, told)
    assert (step.missing, step.beam) == ((), ((0, 1),))
    wide = Beam(2, max_removed=2)
    told = {(): 0.0, (0,): 0.1, (1,): 0.2, (2,): 0.3, (0, 1): 0.5, (0, 2): STOPPED, (1, 2): STOPPED}
    assert [step.beam for step in wide.steps(SearchSpace(3), told)] == [((0,), (1,)), ((0, 1),)]


def test_every_measurement_has_the_scores_and_answers_of_a_full_one(tmp_path: Path) -> None:
    with open_study(tmp_path) as study:
        _, race = raced(study, evaluator())
        key = Session(study, evaluator()).key(SPLIT)
        for one in study.measurements(key):
            assert one.scores is not None
            assert one.scores.tolist() == SCORES("okvqa", one.removal).tolist()
            assert one.answers == tuple(f"{one.removal} {place}" for place in range(NUM_SAMPLES))
            assert one.removal not in race.stopped
    # What became a measurement leaves no chunks behind.
    assert {row[2] for row in contents(tmp_path)["chunk"]} == {
        ",".join(map(str, removal)) for removal in race.stopped
    }


def test_single_blocks_and_one_shot_removals_are_measured_in_full(tmp_path: Path) -> None:
    # The two cheapest blocks together are far worse than all other pairs, and stopped at first.
    def scores(task: str, removal: Removal) -> Any:
        return 0 * SCORES(task, ()) if removal == (0, 1) else SCORES(task, removal)

    engine = SlicingEvaluator(scores)
    with open_study(tmp_path) as study:
        _, race = raced(study, engine)
        (found,) = drops(study)
        assert all((block,) in found for block in range(8))
        shot = shots(study, race.stopped)
        assert shot == {1: {2: (0, 1), 3: (0, 1, 2)}}
    assert (0, 1) in found
    assert (0, 1) not in race.stopped
    # Stopped, then asked for in full: nothing that was seen is taken again.
    asked = [number for _, removal, number in engine.asked if removal == (0, 1)]
    assert sum(asked) == NUM_SAMPLES
    assert (1, "0,1") in {
        (len(row[1].split(",")) - 1, row[1]) for row in contents(tmp_path)["stopped"]
    }


def test_run_again_it_finds_nothing_to_do_and_says_the_same(tmp_path: Path) -> None:
    with open_study(tmp_path) as study:
        _, first = raced(study, evaluator())
    before = contents(tmp_path)
    again = evaluator()
    with open_study(tmp_path) as study:
        report, second = raced(study, again)
    assert (report.measured, again.asked) == (0, [])
    assert second == replace(first, evaluated=0)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("group", [ALONE, JOINT], ids=["alone", "joint"])
def test_killed_at_every_call_it_ends_as_if_it_had_not_been(
    tmp_path: Path, group: SplitGroup
) -> None:
    undisturbed = evaluator(removals_per_call=8)
    with open_study(tmp_path / "undisturbed") as study:
        _, expected = raced(study, undisturbed, group)
    kills = 0
    asked: list[Any] = []
    while True:
        # One call more survives each time, so that every call is once the last.
        engine = evaluator(removals_per_call=8, calls_left=15)
        try:
            with open_study(tmp_path / "killed") as study:
                _, race = raced(study, engine, group)
            asked += engine.asked
            break
        except Killed:
            kills += 1
            asked += engine.asked
            assert kills < 100
    assert kills > 2
    assert race.stopped == expected.stopped
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


@pytest.mark.parametrize(
    "calls",
    [pytest.param(calls, marks=[pytest.mark.slow] if calls % 4 else []) for calls in range(10, 34)],
)
def test_killed_once_at_any_chunk_only_the_call_in_flight_is_made_again(
    tmp_path: Path, calls: int
) -> None:
    undisturbed = evaluator(removals_per_call=8)
    with open_study(tmp_path / "undisturbed") as study:
        raced(study, undisturbed)
    first = evaluator(removals_per_call=8, calls_left=calls)
    with pytest.raises(Killed), open_study(tmp_path / "killed") as study:
        raced(study, first)
    second = evaluator(removals_per_call=8)
    with open_study(tmp_path / "killed") as study:
        raced(study, second)
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")
    raced_calls = [one for one in first.asked + second.asked if len(one[1]) == 2]
    assert sorted(raced_calls) == sorted(one for one in undisturbed.asked if len(one[1]) == 2)


@pytest.mark.parametrize("added", [18, 19, 21, 24, 25])
def test_killed_while_the_survivors_are_stored_it_ends_as_if_it_had_not_been(
    tmp_path: Path, added: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_study(tmp_path / "undisturbed") as study:
        raced(study, evaluator(), JOINT)
    add, calls = StudyStore.add, []

    def dying(*arguments: Any, **options: Any) -> None:
        calls.append(arguments)
        if len(calls) > added:
            raise Killed
        add(*arguments, **options)

    monkeypatch.setattr(StudyStore, "add", dying)
    first, second = evaluator(), evaluator()
    with pytest.raises(Killed), open_study(tmp_path / "killed") as study:
        raced(study, first, JOINT)
    monkeypatch.undo()
    with open_study(tmp_path / "killed") as study:
        raced(study, second, JOINT)
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


def test_a_search_without_racing_measures_the_stopped_ones_in_full_and_that_wins(
    tmp_path: Path,
) -> None:
    plain = evaluator()
    with open_study(tmp_path) as study:
        _, race = raced(study, evaluator())
        in_full(study, plain, ALONE)
        (found,) = drops(study)
        assert race.stopped.keys() <= found.keys()
        assert {removal for _, removal, _ in plain.asked} == set(race.stopped)
        assert study.stopped(1, SETTINGS) == []
        assert race.without(found).stopped == {}
        again = evaluator()
        _, later = raced(study, again)
    assert (later.stopped, later.saved, again.asked) == ({}, 0, [])


def test_other_options_are_another_race(tmp_path: Path) -> None:
    with open_study(tmp_path) as study:
        _, strict = raced(study, evaluator(), options=RaceOptions(0.999999, 20))
        engine = evaluator()
        _, loose = raced(study, engine, options=RaceOptions(0.5, 20))
        assert engine.asked
        assert loose.confidence == 0.5
        assert set(loose.stopped) <= set(strict.stopped)
        told = {one.removal: one.race.confidence for one in study.stopped(1, SETTINGS)}
        assert set(told) == set(strict.stopped)


def test_what_the_study_holds_already_competes_and_is_never_stopped(tmp_path: Path) -> None:
    worst = (6, 7)
    with open_study(tmp_path) as study:
        Session(study, evaluator()).measure(ALONE, [(), worst, (0, 7)])
        engine = evaluator()
        _, race = raced(study, engine, width=8)
        (found,) = drops(study)
    assert {worst, (0, 7)} <= found.keys()
    assert not {worst, (0, 7)} & race.stopped.keys()
    assert not {worst, (0, 7)} & {removal for _, removal, _ in engine.asked}


def test_the_order_of_the_samples_is_seeded(tmp_path: Path) -> None:
    stops: list[Mapping[Removal, int]] = []
    for seed in (1, 1, 2):
        with open_study(tmp_path / str(len(stops))) as study:
            _, race = raced(study, evaluator(), space=replace(SPACE, seed=seed))
        stops.append(race.stopped)
    assert stops[0] == stops[1] != stops[2]


@pytest.mark.parametrize(
    ("options", "search"),
    [(RaceOptions(chunk=NUM_SAMPLES), {}), (RACE, {"width": 60}), (RACE, {"max_removed": 1})],
    ids=["one chunk", "wide beam", "single blocks"],
)
def test_where_nobody_can_be_stopped_all_are_measured_in_full(
    tmp_path: Path, options: RaceOptions, search: dict[str, Any]
) -> None:
    with open_study(tmp_path) as study:
        _, race = raced(study, evaluator(), options=options, **search)
    assert race.stopped == {}
    assert race.evaluated == race.without_racing
    assert contents(tmp_path)["chunk"] == []


def test_seeds_are_measured_in_full_and_a_greedy_search_races_too(tmp_path: Path) -> None:
    greedy = Compared(Greedy(max_removed=3, race=RACE))
    seeded = replace(SPACE, proposed=((5, 6, 7),))
    with open_study(tmp_path) as study:
        (race,) = run(greedy, seeded, Session(study, evaluator()), ALONE).races
        (found,) = drops(study)
    assert (5, 6, 7) in found
    assert race.stopped


def test_a_largest_drop_ends_a_raced_search_where_it_ends_a_full_one(tmp_path: Path) -> None:
    for max_drop in (0.05, 0.2):
        with open_study(tmp_path / f"full {max_drop}") as study:
            in_full(study, evaluator(), ALONE, max_drop=max_drop)
            (expected,) = drops(study)
            shot = shots(study, max_drop=max_drop)
        with open_study(tmp_path / f"fast {max_drop}") as study:
            _, race = raced(study, evaluator(), max_drop=max_drop)
            (found,) = drops(study)
            again = shots(study, race.stopped, max_drop=max_drop)
        assert found.keys() | race.stopped.keys() == expected.keys()
        assert again == shot


def test_nothing_of_a_stopped_candidate_is_in_the_result_files(tmp_path: Path) -> None:
    with open_study(tmp_path) as study:
        _, race = raced(study, evaluator())
        files = write_result_files(study, tmp_path / "results")
        held = {one.removal for one in study.measurements()}
    assert race.stopped
    assert not held & race.stopped.keys()
    names = " ".join(path.name for path in files)
    for removal in race.stopped:
        assert f"removed{'-'.join(map(str, removal))}.json" not in names


def test_a_tiny_task_of_a_joint_search_is_seen_in_few_chunks_only(tmp_path: Path) -> None:
    group = SplitGroup((SPLIT, make_split("doc_qa", 2)))
    with open_study(tmp_path) as study:
        _, race = raced(study, evaluator(), group)
        assert [len(one) for one in drops(study, group)] == [
            race.num_removals - len(race.stopped)
        ] * 2
    assert race.num_samples == 202


def test_the_bar_ends_full(tmp_path: Path) -> None:
    class Advancing(SlicingEvaluator):
        def evaluate(self, split: Any, removals: Any, samples: slice = slice(None)) -> Any:
            bar.done += len(removals) * len(split.samples[samples])
            assert bar.done <= bar.total
            return super().evaluate(split, removals, samples)

    search = strategy(race=RACE)
    for group in (ALONE, JOINT):
        for _ in range(2):
            bar = CountingBar(most_work(search, SPACE, group))
            with open_study(tmp_path) as study:
                run(search, SPACE, Session(study, Advancing(SCORES), bar), group)
            assert bar.total == bar.done
    assert bar.done == 0


def test_scores_that_are_not_finite_or_break_their_bounds_end_the_race(tmp_path: Path) -> None:
    for wrong, named in ((np.nan, "not a finite number"), (1.5, "a score of 1.5, but made up")):

        def scores(task: str, removal: Removal, wrong: float = wrong) -> Any:
            found = SCORES(task, removal)
            if removal == (0, 4):
                found[-1] = wrong
            return found

        with (
            open_study(tmp_path / named) as study,
            pytest.raises(DepthpruneError, match=named) as refused,
        ):
            raced(study, SlicingEvaluator(scores))
        assert "removal 0-4" in str(refused.value)


def test_scores_in_the_study_that_break_their_bounds_end_the_race(tmp_path: Path) -> None:
    with open_study(tmp_path) as study:
        engine = SlicingEvaluator(lambda *_: np.full(200, 3.0))
        Session(study, engine).measure(ALONE, [(0, 1)])
        with pytest.raises(DepthpruneError, match="a score of 3"):
            raced(study, evaluator())


def test_metrics_without_known_bounds_are_refused_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    task = Task("okvqa", "VQA", NoSource(), metric="my_own")
    group = SplitGroup((replace(SPLIT, task=task),))
    with pytest.raises(DepthpruneError, match="how large a score"):
        check_race([ALONE, group])
    engine = evaluator()
    with open_study(tmp_path) as study, pytest.raises(DepthpruneError, match="how large a score"):
        raced(study, engine, group)
    assert engine.asked == []


@pytest.mark.parametrize("name", ["exhaustive", "evolutionary"])
def test_strategies_that_need_every_number_refuse_to_race(name: Any) -> None:
    with pytest.raises(DepthpruneError, match=f"{name} cannot race") as refused:
        SearchChoice(strategy=name, race=True).options()
    assert "where: race" in str(refused.value)
    assert raced_beam(Compared(SearchChoice(strategy=name).options().strategy)) is None


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"confidence": 0.0}, "race_confidence"),
        ({"confidence": 1.0}, "race_confidence must be less than 1"),
        ({"confidence": float("nan")}, "race_confidence"),
        ({"confidence": 95}, "race_confidence"),
        ({"chunk": 0}, "race_chunk"),
    ],
)
def test_races_that_make_no_sense_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(DepthpruneError, match=named):
        RaceOptions(**options)
