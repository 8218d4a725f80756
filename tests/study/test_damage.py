"""Damage to what is stored is told with task, split and removal, and is never a result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from depthprune.base.errors import StudyError
from depthprune.study import Study
from tests.study.example import MODEL, SETTINGS, SPLIT, add, filled_study


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
    with Study.open(tmp_path, model=model) as study:
        add(study, ())
        study._connection.execute(damage)
    with (
        pytest.raises(StudyError, match="damaged"),
        Study.open(tmp_path, read_only=True) as study,
    ):
        study.splits(None)


def test_damaged_prompts_are_told(tmp_path: Path) -> None:
    with filled_study(tmp_path, [()]) as study:
        study.keep_prompts(1, SETTINGS, [("a",)] * len(SPLIT.sample_ids))
        study._connection.execute("UPDATE prompts SET texts = zeroblob(20)")
        with pytest.raises(StudyError, match="the prompts of demo_okvqa"):
            study.prompts(1, SETTINGS)
