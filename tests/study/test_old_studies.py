"""Studies of an older depthprune are read and analysed, say what they lack, and are not extended.

`data/old` holds studies that those versions wrote (a beam search of the demo on two tasks).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from depthprune.analysis.collect import read_result_set
from depthprune.base.errors import StudyError
from depthprune.study import StudyStore, import_results, write_result_files

OLD = Path(__file__).parent / "data" / "old"


@pytest.fixture(params=[1, 2])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    shutil.copy(OLD / f"schema{request.param}.db", tmp_path / "study.db")
    return tmp_path


def test_it_is_read_and_stays_as_it_is(folder: Path) -> None:
    before = (folder / "study.db").read_bytes()
    with StudyStore.open(folder, read_only=True) as study:
        first, second = study.splits()
        assert (first.record.task, second.record.task) == ("demo_okvqa", "demo_tally_qa")
        assert (first.record.role, first.record.metric_version) == ("search", None)
        (settings,) = first.settings
        assert study.drops(first.key, settings)[0, 7] == 1.0
        assert len(study.measurements()) == 62
        found = study.measurement(second.key, settings, (7, 14))
        assert found is not None
        assert found.scores is not None
        assert found.answers is not None
        assert (found.accuracy, found.scores.tolist()) == (0.5, [1.0, 0.0, 0.0, 1.0])
        assert len(found.answers) == 4
        assert study.stopped(first.key, settings) == []
        assert study.prompts(first.key, settings) is None
        assert (study.runs(), study.model.identity) == ([], {})
    assert (folder / "study.db").read_bytes() == before


def test_it_says_what_it_lacks(folder: Path) -> None:
    with StudyStore.open(folder, read_only=True) as study:
        assert study.lacks is not None
        assert "does not say with which tokenizer, chat template, processor" in study.lacks
        told = read_result_set(folder).problems
        assert [one for one in told if "written by an older depthprune" in one] == [study.lacks]


def test_it_is_not_extended_and_the_way_out_is_named(folder: Path) -> None:
    before = (folder / "study.db").read_bytes()
    with StudyStore.open(folder, read_only=True) as study:
        model = study.model
    for options in ({}, {"model": model}):
        with pytest.raises(StudyError) as refused:
            StudyStore.open(folder, **options)  # type: ignore[arg-type]
        assert "nothing can be added" in refused.value.what
        assert "output=NEW" in str(refused.value.mend)
    assert (folder / "study.db").read_bytes() == before


def test_its_result_files_are_written_and_imported_into_a_new_study(
    folder: Path, tmp_path: Path
) -> None:
    with StudyStore.open(folder, read_only=True) as old:
        write_result_files(old, tmp_path / "results")
        assert import_results(tmp_path / "results", tmp_path / "new").imported == 62
        with StudyStore.open(tmp_path / "new", read_only=True) as new:
            assert new.lacks is None
            assert [one.accuracy for one in new.measurements()] == pytest.approx(
                [one.accuracy for one in old.measurements()]
            )
