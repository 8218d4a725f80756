"""What decides answers is part of a study: changed in place it is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import StudyError
from depthprune.study import StudyStore
from depthprune.study.races import RaceRecord
from tests.study.example import MODEL, SETTINGS, SPLIT, add, filled_study

IDENTITY = {
    "chat template": {"": "{{ messages }}"},
    "processor": {"image_mean": "[0.5]", "do_resize": "true"},
    "model config": {"rope_theta": "10000.0"},
}
KNOWN = replace(MODEL, identity=IDENTITY)


def changed(part: str, field: str, value: str | None) -> Any:
    fields = {**IDENTITY[part], field: value}
    kept = {name: text for name, text in fields.items() if text is not None}
    return replace(MODEL, identity={**IDENTITY, part: kept})


def measured(folder: Path) -> Path:
    with StudyStore.open(folder, model=KNOWN) as study:
        add(study, ())
    return folder


def test_the_same_identity_is_welcome_and_kept(tmp_path: Path) -> None:
    with StudyStore.open(measured(tmp_path), model=KNOWN) as study:
        assert study.model.identity == IDENTITY
        add(study, (1,))


@pytest.mark.parametrize(
    ("part", "field", "value", "told"),
    [
        ("chat template", "", "{{ x }}", "the chat template: was '{{ messages }}', is '{{ x }}'"),
        (
            "processor",
            "image_mean",
            "[0.4]",
            r"the processor \(image_mean\): was '\[0.5\]', is '\[0.4\]'",
        ),
        ("processor", "do_resize", None, r"the processor \(do_resize\): was 'true', is absent"),
        ("processor", "size", "448", r"the processor \(size\): was absent, is '448'"),
    ],
)
def test_what_changed_is_named_with_the_way_to_go_on(
    tmp_path: Path, part: str, field: str, value: str | None, told: str
) -> None:
    before = (measured(tmp_path) / "study.db").read_bytes()
    for read_only in (False, True):
        with pytest.raises(StudyError, match=told) as refused:
            StudyStore.open(tmp_path, model=changed(part, field, value), read_only=read_only)
        assert "output=NEW" in str(refused.value.mend)
    assert (tmp_path / "study.db").read_bytes() == before


def test_long_values_are_shown_from_where_they_differ(tmp_path: Path) -> None:
    long = replace(MODEL, identity={"chat template": {"": "a" * 5000 + "old" + "b" * 5000}})
    other = replace(MODEL, identity={"chat template": {"": "a" * 5000 + "new" + "b" * 5000}})
    with StudyStore.open(tmp_path, model=long) as study:
        add(study, ())
    with pytest.raises(
        StudyError, match=r"was '\.\.\.a+oldb+\.\.\.', is '\.\.\.a+newb+\.\.\.'"
    ) as no:
        StudyStore.open(tmp_path, model=other)
    assert len(no.value.what) < 400


def test_before_anything_is_measured_it_may_change(tmp_path: Path) -> None:
    StudyStore.open(tmp_path, model=KNOWN).close()
    other = changed("processor", "image_mean", "[0.4]")
    with StudyStore.open(tmp_path, model=other) as study:
        assert study.model.identity == other.identity
        add(study, ())
    with pytest.raises(StudyError, match="image_mean"):
        StudyStore.open(tmp_path, model=KNOWN)


def test_what_a_race_saw_counts_as_measured(tmp_path: Path) -> None:
    from tests.study.test_races import chunk

    with StudyStore.open(tmp_path, model=KNOWN) as study:
        key = study.add_split(SPLIT)
        race = study.race(RaceRecord((key,), SETTINGS, 0.95, "", ((0, 1),)))
        race.add_chunk(key, (0, 1), chunk())
    with pytest.raises(StudyError, match="image_mean"):
        StudyStore.open(tmp_path, model=changed("processor", "image_mean", "[0.4]"))


def test_a_changed_config_is_named_where_the_fingerprint_differs(tmp_path: Path) -> None:
    measured(tmp_path)
    other = replace(
        KNOWN,
        fingerprint="model-2",
        identity={**IDENTITY, "model config": {"rope_theta": "5e5"}},
    )
    with pytest.raises(StudyError, match=r"the model config \(rope_theta\): was '10000.0', is"):
        StudyStore.open(tmp_path, model=other)
    with pytest.raises(StudyError, match="its weights have changed"):
        StudyStore.open(tmp_path, model=replace(KNOWN, fingerprint="model-2"))


def test_the_config_alone_is_no_reason_to_refuse(tmp_path: Path) -> None:
    """Another transformers gives a config more fields; the fingerprint holds the file's."""
    StudyStore.open(measured(tmp_path), model=changed("model config", "new_field", "1")).close()


def test_prompts_are_kept_once_and_others_are_refused(tmp_path: Path) -> None:
    prompts = [(f"user: question {number}\nassistant:",) for number in range(7)]
    prompts.append(("context", "context again"))
    with filled_study(tmp_path) as study:
        study.keep_prompts(1, SETTINGS, prompts)
        study.keep_prompts(1, SETTINGS, prompts)
        assert study.prompts(1, SETTINGS) == prompts
        assert study._query("SELECT count(*) FROM prompts") == [(1,)]
    with StudyStore.open(tmp_path, read_only=True) as study:
        assert study.prompts(1, SETTINGS) == prompts
    others = [*prompts[:3], ("system: be brief\nuser: question 3",), *prompts[4:]]
    with (
        StudyStore.open(tmp_path) as study,
        pytest.raises(StudyError, match=r"other prompts: sample validation/3, .*question 3") as no,
    ):
        study.keep_prompts(1, SETTINGS, others)
    assert "output=NEW" in str(no.value.mend)
    with StudyStore.open(tmp_path) as study:
        study.keep_prompts(1, "greedy system_prompt=0123", others)
        assert study.prompts(1, "greedy system_prompt=0123") == others
        assert study.prompts(1, SETTINGS) == prompts


def test_another_version_of_the_metrics_rule_is_refused_for_any_split(tmp_path: Path) -> None:
    first = replace(SPLIT, metric_version=1)
    with StudyStore.open(tmp_path, model=MODEL) as study:
        add(study, (), key=study.add_split(first))
        for other in (
            replace(first, metric_version=2),
            replace(first, metric_version=2, fingerprint="task-2"),
            replace(first, metric_version=2, task="other", fingerprint="task-3"),
        ):
            with pytest.raises(
                StudyError, match=r"metric vqa_accuracy has changed.*was version 1, is version 2"
            ):
                study.add_split(other)
        study.add_split(replace(first, metric="anls", metric_version=2, task="other"))
        study.add_split(replace(SPLIT, task="imported", fingerprint="imported:1"))


def test_runs_say_how_each_measurement_was_made(tmp_path: Path) -> None:
    with filled_study(tmp_path, [()]) as study:
        study.begin_run({"versions": {"torch": "2.9"}, "seed": 0})
        add(study, (1,))
        study.begin_run({"seed": 0, "versions": {"torch": "2.10"}})
        add(study, (2,))
        study.begin_run({"seed": 0, "versions": {"torch": "2.9"}})
        add(study, (3,))
        assert [one.run for one in study.measurements()] == [None, 1, 2, 1]
        assert [one.how["versions"] for one in study.runs()] == [
            {"torch": "2.9"},
            {"torch": "2.10"},
        ]


def test_verification_is_found_only_by_those_who_ask_for_it(tmp_path: Path) -> None:
    with filled_study(tmp_path, [(), (1,)]) as study:
        key = study.add_split(replace(SPLIT, role="verification", fingerprint="task-fresh"))
        same = study.add_split(replace(SPLIT, role="verification"))
        assert len({1, key, same}) == 3
        for removal in [(), (1,), (2,)]:
            add(study, removal, key=key)
        assert [one.key for one in study.splits()] == [1]
        assert [one.key for one in study.splits("verification")] == [key, same]
        assert len(study.splits(None)) == 3
        assert [one.removal for one in study.measurements()] == [(), (1,)]
        assert [one.removal for one in study.measurements(key)] == [(), (1,), (2,)]
        assert set(study.drops(key, SETTINGS)) == {(), (1,), (2,)}
        assert set(study.drops(1, SETTINGS)) == {(), (1,)}
        assert study.missing(same, [()], SETTINGS) == [()]
        assert study.split(key).role == "verification"
