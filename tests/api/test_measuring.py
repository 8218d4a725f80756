"""Measuring, in Python: what a call returns, that it goes on, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import depthprune as dp
from depthprune.base.errors import ModelError, RemovalError, StudyError, TaskError
from depthprune.study import StudyStore


@pytest.fixture(scope="module")
def tasks() -> list[dp.TaskSplit]:
    """Return a few samples of two tasks."""
    return dp.load_tasks("demo_okvqa", "demo_doc_qa", num_samples=5)


@pytest.fixture(scope="module")
def profiled(
    demo: dp.Model, tasks: list[dp.TaskSplit], tmp_path_factory: pytest.TempPathFactory
) -> dp.Study:
    """Return a study in which every block was removed alone."""
    return dp.profile(demo, tasks, folder=tmp_path_factory.mktemp("study") / "study")


def stored(study: dp.Study) -> list[tuple[str, dp.Removal, str]]:
    """Return what a study holds, with the times at which it was measured."""
    with StudyStore.open(study.folder, read_only=True) as store:
        return [
            (one.record.task, found.removal, found.created)
            for one in store.splits(role=None)
            for settings in one.settings
            for found in store.measurements(one.key, settings, with_samples=False)
        ]


def test_a_profile_is_the_drop_of_every_block(profiled: dp.Study) -> None:
    assert profiled.datasets == ("demo_doc_qa", "demo_okvqa")
    assert sorted(profiled.importance()) == list(range(16))
    assert profiled.importance()[0] == max(profiled.importance().values())
    assert set(profiled.drops()["n"]) == {5}
    assert (profiled.folder / "results").is_dir()


def test_the_study_is_closed(profiled: dp.Study, demo: dp.Model) -> None:
    with StudyStore.open(profiled.folder, model=demo.record) as store:
        assert store.model.num_blocks == 16


def test_measuring_again_measures_nothing(
    demo: dp.Model, tasks: list[dp.TaskSplit], profiled: dp.Study
) -> None:
    before = stored(profiled)
    again = dp.profile(demo, tasks, folder=str(profiled.folder))
    assert again == profiled
    assert stored(again) == before


def test_answers_come_with_prompts_and_references(profiled: dp.Study) -> None:
    answers = profiled.answers([0], "demo_okvqa")
    assert len(answers) == 5
    assert all("<image>" in prompt for prompt in answers["prompt"])
    assert all(len(references) == 10 for references in answers["references"])
    assert sum(answers["baseline_score"]) > sum(answers["score"])
    opened = dp.open_study(profiled.folder).answers([0], "demo_okvqa")
    assert opened["references"] == answers["references"]
    assert opened["answer"] == answers["answer"]


def test_a_search_goes_on_from_a_profile_and_keeps_what_is_protected(
    demo: dp.Model, tasks: list[dp.TaskSplit], profiled: dp.Study
) -> None:
    before = stored(profiled)
    options = {"joint": True, "protect": [4], "strategy": dp.Beam(width=1, max_removed=2)}
    study = dp.search(demo, tasks, folder=profiled.folder, **options)  # type: ignore[arg-type]
    pairs = {removal for removal in study.drops()["removal"] if len(removal) == 2}
    assert pairs
    assert not any(4 in removal for removal in pairs)
    assert set(before) <= set(stored(study))
    # Both tasks hold the same removals: the search was on their mean.
    rows = [(one["removal"], one["dataset"]) for one in study.drops()]
    assert {(pair, name) for pair in pairs for name in study.datasets} <= set(rows)
    assert dp.analyze(study).synergies


def test_a_study_is_of_exactly_what_was_measured_now(demo: dp.Model, profiled: dp.Study) -> None:
    (fewer,) = dp.load_tasks("demo_okvqa", num_samples=3)
    study = dp.profile(demo, [fewer], folder=profiled.folder)
    assert set(study.drops()["n"]) == {3}
    assert study.datasets == ("demo_okvqa",)
    assert len(study.answers([1], "demo_okvqa")) == 3
    assert set(profiled.drops()["n"]) == {5}
    assert len(profiled.answers([1], "demo_okvqa")) == 5


def test_a_module_in_memory_is_measured_as_the_files_are(
    demo: dp.Model, tasks: list[dp.TaskSplit], profiled: dp.Study, tmp_path: Path
) -> None:
    model = dp.load_model(demo.model, processor=demo.processor)
    study = dp.search(
        model,
        tasks[:1],
        folder=tmp_path,
        strategy=dp.Beam(width=1, max_removed=1),
        protect=range(2, 16),
    )
    drops = {row["removal"]: row["drop"] for row in study.drops()}
    whole = {r["removal"]: r["drop"] for r in profiled.drops() if r["dataset"] == "demo_okvqa"}
    assert set(drops) == {(0,), (1,)}
    assert all(drops[removal] == whole[removal] for removal in drops)


def test_removals_are_verified_on_samples_that_were_not_searched(
    demo: dp.Model, tasks: list[dp.TaskSplit], profiled: dp.Study
) -> None:
    table = dp.verify(demo, profiled, [[0], (4, 13)], samples=4)
    assert table.columns == profiled.drops().columns
    assert [(row["removal"], row["dataset"]) for row in table] == [
        ((0,), "demo_okvqa"),
        ((4, 13), "demo_okvqa"),
        ((0,), "demo_doc_qa"),
        ((4, 13), "demo_doc_qa"),
    ]
    assert set(table["n"]) == {4}
    seen = {sample.id for one in tasks for sample in one.samples}
    with StudyStore.open(profiled.folder, read_only=True) as store:
        fresh = store.splits(role="verification")
        assert [one.record.task for one in fresh] == ["demo_doc_qa", "demo_okvqa"]
        for one in fresh:
            used = [s.record.sample_ids for s in store.splits() if s.record.task == one.record.task]
            assert not {each for ids in used for each in ids} & set(one.record.sample_ids)
    assert seen
    before = stored(profiled)
    assert dp.verify(demo, profiled.folder, [[0]], samples=4, tasks=tasks)["n"] == [4, 4]
    assert stored(profiled) == before
    # What verified is never ranked.
    assert set(dp.open_study(profiled.folder).drops()["n"]) <= {3, 5}


def test_a_removal_that_is_not_there_is_not_verified(demo: dp.Model, profiled: dp.Study) -> None:
    with pytest.raises(RemovalError):
        dp.verify(demo, profiled, [[16]], samples=4)


def test_what_cannot_be_measured_is_told_first(
    demo: dp.Model, tasks: list[dp.TaskSplit], tmp_path: Path
) -> None:
    cases: list[
        tuple[type[Exception], str, dp.Model, Sequence[dp.TaskSplit], dict[str, object]]
    ] = [
        (ModelError, "processor", dp.load_model(demo.model), tasks, {}),
        (TaskError, "tasks", demo, [], {}),
        (TaskError, "tasks", demo, ["okvqa"], {}),  # type: ignore[list-item]
        (dp.DepthpruneError, "task_weights", demo, tasks, {"task_weights": {"demo_okvqa": 1.0}}),
        (dp.DepthpruneError, "warm_start", demo, tasks, {"warm_start": "guess"}),
    ]
    for kind, option, model, splits, options in cases:
        with pytest.raises(kind) as raised:
            dp.search(model, splits, folder=tmp_path / "study", **options)  # type: ignore[arg-type]
        assert getattr(raised.value, "option", None) == option
        assert not (tmp_path / "study" / "study.db").exists()


def test_a_study_belongs_to_one_model(
    demo: dp.Model, tasks: list[dp.TaskSplit], profiled: dp.Study
) -> None:
    with pytest.raises(StudyError):
        dp.profile(
            dp.load_model(demo.model, processor=demo.processor), tasks, folder=profiled.folder
        )


def test_a_model_is_evaluated(demo: dp.Model, tmp_path: Path) -> None:
    (tmp_path / "flags.txt").write_text("which country has this flag ? " * 30)
    options = {"metrics": ["ppl"], "ppl_texts": [tmp_path / "flags.txt"]}
    whole = dp.evaluate(demo, **options)  # type: ignore[arg-type]
    again = dp.evaluate(demo, **options, output=tmp_path / "card.json")  # type: ignore[arg-type]
    without = dp.evaluate(demo, **options, removal=[4, 13])  # type: ignore[arg-type]
    assert whole.perplexity == again.perplexity
    assert whole.perplexity["flags.txt"] != without.perplexity["flags.txt"]
    assert whole.parameters > without.parameters
    assert (whole.path, again.path) == (None, tmp_path / "card.json")
    assert not whole.failed
    with pytest.raises(dp.DepthpruneError) as raised:
        dp.evaluate(demo, metrics=["speeed"])
    assert raised.value.option == "metrics"


def test_tasks_are_scored_with_and_without_blocks(demo: dp.Model, profiled: dp.Study) -> None:
    found = dp.evaluate(demo, score=["demo_okvqa"], num_samples=6, removal=[0])
    assert list(found.scores) == ["demo_okvqa"]
    (score,) = found.card["scores"].values()
    assert (score["n"], score["split"]) == (6, "validation")
    assert score["whole"]["accuracy"] > score["accuracy"] == found.scores["demo_okvqa"]
    assert (found.card["ppl"], found.card["speed"]) == ({}, {})
    with pytest.raises(dp.DepthpruneError, match="okvqaa"):
        dp.evaluate(demo, score=["okvqaa"])


def test_nothing_is_printed(
    demo: dp.Model,
    tasks: list[dp.TaskSplit],
    profiled: dp.Study,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    dp.profile("demo", tasks, folder=profiled.folder)
    dp.verify(demo, profiled, [[0]], samples=4)
    (tmp_path / "flags.txt").write_text("which country has this flag ? " * 30)
    dp.evaluate(demo, metrics=["ppl"], ppl_texts=[tmp_path / "flags.txt"])
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
