"""Sampling a split: evenly, seeded, in a stable order; and what its fingerprint stands for."""

from __future__ import annotations

import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image

from depthprune.base.errors import MetricError, TaskError
from depthprune.tasks.load import image_digest, load_split
from depthprune.tasks.sources import LocalSource
from depthprune.tasks.task import Sample, Task
from tests.tasks.samples import ListedSource, make_task, numbered, png, write_picture


def ids(task: Task, split: str, num_samples: int | None = None, seed: int = 0) -> list[str]:
    return [sample.id for sample in load_split(task, split, num_samples, seed).samples]


class TestSplits:
    def test_all_samples_in_the_order_of_the_data(self) -> None:
        assert ids(make_task(), "train") == ["train/0", "train/1", "train/2"]

    def test_a_union_joins_them(self) -> None:
        got = ids(make_task(), "train+validation")
        assert got == ["train/0", "train/1", "train/2", "v/0", "v/1"]

    def test_another_split_may_play_validation(self) -> None:
        source = ListedSource({"train": numbered("train", 1), "test": numbered("test", 2)})
        task = make_task(source=source, validation_split="test")
        assert ids(task, "train+validation") == ids(task, "train+test") == [
            "train/0", "test/0", "test/1",
        ]  # fmt: skip

    def test_a_copy_of_the_data_may_call_it_validation(self) -> None:
        assert ids(make_task(validation_split="val2014"), "validation") == ["v/0", "v/1"]

    def test_a_missing_part_of_a_union_is_a_warning_that_names_it(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        task = make_task(source=ListedSource({"validation": numbered("v", 2)}))
        with caplog.at_level(logging.WARNING, "depthprune"):
            assert ids(task, "train+validation") == ["v/0", "v/1"]
        assert "my_task has no split train (it has validation)" in caplog.text

    def test_when_no_part_is_there_it_is_an_error(self) -> None:
        with pytest.raises(TaskError, match="no split dev or test") as error:
            load_split(make_task(), "test+dev")
        assert "train, validation" in str(error.value)

    @pytest.mark.parametrize(
        "split", ["validation+train", "train + validation", " train+validation"]
    )
    def test_a_union_is_the_same_however_it_is_written(self, split: str) -> None:
        usual, got = load_split(make_task(), "train+validation"), load_split(make_task(), split)
        assert got.split == "train+validation"
        assert (got.samples, got.fingerprint) == (usual.samples, usual.fingerprint)

    def test_other_splits_follow_in_the_order_of_the_data(self) -> None:
        parts = {name: numbered(name, 1) for name in ("b", "validation", "a", "train")}
        task = make_task(source=ListedSource(parts))
        assert load_split(task, "a+b+validation+train").split == "train+validation+b+a"

    def test_a_split_that_is_joined_twice(self) -> None:
        with pytest.raises(TaskError, match="that is twice the split train of my_task"):
            load_split(make_task(), "train+train")

    def test_two_names_of_one_split(self) -> None:
        source = ListedSource({"test": numbered("test", 2)})
        task = make_task(source=source, validation_split="test")
        with pytest.raises(TaskError, match="validation and test are both the split test"):
            load_split(task, "validation+test")

    @pytest.mark.parametrize("split", ["", "train+", "+"])
    def test_a_name_that_makes_no_sense(self, split: str) -> None:
        with pytest.raises(TaskError, match="is not a split"):
            load_split(make_task(), split)

    def test_an_empty_split(self) -> None:
        task = make_task(source=ListedSource({"train": []}))
        with pytest.raises(TaskError, match="the split train of my_task is empty"):
            load_split(task, "train")

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "train.jsonl").write_text("\n")
        with pytest.raises(TaskError, match="is empty") as error:
            load_split(make_task(source=LocalSource(tmp_path)), "train")
        assert str(tmp_path) in str(error.value)


LARGE = make_task(
    source=ListedSource({"train": numbered("train", 300), "validation": numbered("v", 100)})
)


class TestSampling:
    def test_is_seeded(self) -> None:
        assert ids(LARGE, "train", 20, seed=3) == ids(LARGE, "train", 20, seed=3)
        assert ids(LARGE, "train", 20, seed=3) != ids(LARGE, "train", 20, seed=4)

    def test_never_changes(self) -> None:
        assert ids(LARGE, "train", 5) == [f"train/{i}" for i in (12, 188, 208, 221, 239)]

    def test_keeps_the_order_of_the_data(self) -> None:
        numbers = [int(name.partition("/")[2]) for name in ids(LARGE, "train", 50)]
        assert numbers == sorted(numbers)

    def test_is_without_replacement(self) -> None:
        assert len(set(ids(LARGE, "train", 300))) == 300

    def test_a_smaller_sample_is_part_of_a_larger_one(self) -> None:
        assert set(ids(LARGE, "train+validation", 20)) < set(ids(LARGE, "train+validation", 60))

    def test_is_even_over_the_union(self) -> None:
        counts = Counter(
            name.partition("/")[0]
            for seed in range(40)
            for name in ids(LARGE, "train+validation", 40, seed)
        )
        # 1600 draws, 1/4 from validation: 400 expected, standard deviation 17.
        assert counts["v"] == pytest.approx(400, abs=70)

    def test_asking_for_too_many_takes_all_and_is_no_reason_to_warn(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "depthprune"):
            assert len(ids(make_task(), "train", 10)) == 3
        expected = "my_task, train has 3 samples, not 10; taking all"
        assert ("depthprune", logging.INFO, expected) in caplog.record_tuples

    @pytest.mark.parametrize("number", [0, -1])
    def test_asking_for_none_is_refused(self, number: int) -> None:
        with pytest.raises(TaskError, match=f"{number} samples"):
            load_split(make_task(), "train", number)


class TestChecks:
    def check(self, sample: Sample, **settings: object) -> None:
        source = ListedSource({"train": [sample, *numbered("train", 1)]})
        load_split(make_task(source=source, **settings), "train")

    def test_a_sample_without_answer(self) -> None:
        with pytest.raises(TaskError, match="v/9 of my_task has no reference answer"):
            self.check(Sample("v/9", "?"))

    def test_two_samples_of_one_id(self) -> None:
        with pytest.raises(TaskError, match="the id 'train/0'"):
            self.check(Sample("train/0", "?", references=("a",)))

    def test_nothing_to_choose_from(self) -> None:
        with pytest.raises(TaskError, match="no options to choose from"):
            self.check(
                Sample("v/9", "?", references=("A",)), answer="choose", metric="choice_likelihood"
            )

    def test_a_prompt_with_an_unknown_field(self) -> None:
        with pytest.raises(TaskError, match="cannot be filled"):
            load_split(make_task(prompt="{query}"), "train")

    def test_an_unknown_metric_is_found_before_the_data_are_loaded(self, tmp_path: Path) -> None:
        nowhere = LocalSource(tmp_path / "nowhere")
        with pytest.raises(MetricError, match="no metric 'exact'"):
            load_split(make_task(metric="exact", source=nowhere), "train")

    @pytest.mark.parametrize(
        ("sample", "what"),
        [
            ("no sample", "is a str, not a Sample"),
            (Sample("v/9", "?", references="yes"), "references cannot be 'yes'"),  # type: ignore[arg-type]
            (Sample("v/9", "?", references=(1,)), r"references cannot be \(1,\)"),  # type: ignore[arg-type]
            (Sample("v/9", "?", references=("a",), choices="ab"), "choices cannot be 'ab'"),  # type: ignore[arg-type]
            (Sample("v/9", None, references=("a",)), "question cannot be None"),  # type: ignore[arg-type]
            (Sample(9, "?", references=("a",)), "id cannot be 9"),  # type: ignore[arg-type]
            (Sample("v/9", "?", references=("a",), images=None), "images cannot be None"),  # type: ignore[arg-type]
            (Sample("v/9", "?", references=("a",), images=(3,)), "ListedSource failed"),  # type: ignore[arg-type]
        ],
    )
    def test_a_sample_of_the_wrong_types(self, sample: Sample, what: str) -> None:
        with pytest.raises(TaskError, match=what):
            self.check(sample)

    @pytest.mark.parametrize("answer", ["generate", "choose"])
    def test_a_table_without_questions_is_refused_when_the_prompt_asks_them(
        self, tmp_path: Path, answer: str
    ) -> None:
        (tmp_path / "train.jsonl").write_text('{"query": "?", "choices": ["a"], "answer": "A"}')
        metric = "exact_match" if answer == "generate" else "choice_likelihood"
        task = make_task(source=LocalSource(tmp_path), answer=answer, metric=metric)
        with pytest.raises(TaskError, match="the field 'question' is missing") as error:
            load_split(task, "train")
        assert f"{tmp_path / 'train.jsonl'}, line 1" in str(error.value)
        assert "available fields: query, choices, answer" in str(error.value)

    @pytest.mark.parametrize(
        "settings", [{"prompt": "Describe it."}, {"answer": "read", "metric": "perplexity"}]
    )
    def test_a_table_without_questions_is_fine_when_none_are_asked(
        self, tmp_path: Path, settings: dict[str, str]
    ) -> None:
        (tmp_path / "train.jsonl").write_text('{"text": "once"}')
        task = make_task(source=LocalSource(tmp_path), **settings)
        assert load_split(task, "train").samples[0].question == ""

    def test_a_damaged_image_is_found_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "half.png").write_bytes(png(size=64)[:80])
        row = {"image": "half.png", "question": "?", "answer": "a"}
        (tmp_path / "train.jsonl").write_text(json.dumps(row))
        with pytest.raises(TaskError, match="a damaged image"):
            load_split(make_task(source=LocalSource(tmp_path)), "train")

    def test_a_missing_image_is_found_at_once(self, tmp_path: Path) -> None:
        row = {"image": "nowhere.png", "question": "?", "answer": "a"}
        (tmp_path / "train.jsonl").write_text(json.dumps(row))
        with pytest.raises(TaskError, match="image file cannot be read"):
            load_split(make_task(source=LocalSource(tmp_path)), "train")


class Failing(ListedSource):
    """A source in which one step fails, and which prints."""

    def __init__(self, step: str) -> None:
        object.__setattr__(self, "step", step)

    def reach(self, step: str) -> None:
        print("at", step)
        if step == self.step:  # type: ignore[attr-defined]
            raise KeyError("oops")

    def splits(self) -> tuple[str, ...]:
        self.reach("splits")
        return ("train",)

    def samples(self, split: str) -> Failing:  # type: ignore[override]
        self.reach("samples")
        return self

    def __len__(self) -> int:
        self.reach("__len__")
        return 1

    def __getitem__(self, index: int) -> Sample:
        self.reach("__getitem__")
        return Sample("train/0", "?", references=("a",), images=(self,))

    def open(self) -> Image.Image:
        self.reach("open")
        return Image.new("RGB", (1, 1))


class TestSourcesOfUsers:
    @pytest.mark.parametrize("step", ["splits", "samples", "__len__", "__getitem__", "open"])
    def test_whatever_fails_is_named_with_its_file(self, step: str) -> None:
        with pytest.raises(TaskError, match="the source Failing failed: KeyError: 'oops'") as error:
            load_split(make_task(source=Failing(step)), "train")
        assert error.value.where == __file__

    def test_what_it_prints_does_not_reach_standard_output(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        load_split(make_task(source=Failing("nowhere")), "train")
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "at splits" in printed.err


def picture_task(folder: Path) -> Task:
    """Return a task of one picture in a folder."""
    write_picture(folder / "a.png")
    row = {"image": "a.png", "question": "which ?", "choices": ["red", "blue"], "answer": "A"}
    (folder / "train.jsonl").write_text(json.dumps(row))
    return make_task(
        source=LocalSource(folder), metric="choice_letter", prompt="{question} {choices}"
    )


def rewrite(folder: Path, **changes: object) -> None:
    row = json.loads((folder / "train.jsonl").read_text())
    (folder / "train.jsonl").write_text(json.dumps(row | changes))


class TestFingerprint:
    def test_does_not_depend_on_where_the_data_lie(self, tmp_path: Path) -> None:
        task = picture_task(tmp_path / "here")
        shutil.copytree(tmp_path / "here", tmp_path / "there")
        moved = replace(task, source=LocalSource(tmp_path / "there"), name="renamed")
        here, there = load_split(task, "train"), load_split(moved, "train")
        assert here.fingerprint == there.fingerprint
        assert len(here.fingerprint) == 64

    @pytest.mark.parametrize(
        "change",
        [
            lambda folder: rewrite(folder, question="what ?"),
            lambda folder: rewrite(folder, answer="B"),
            lambda folder: rewrite(folder, choices=["red", "green"]),
            lambda folder: write_picture(folder / "a.png", "blue"),
        ],
    )
    def test_changes_with_the_data(self, tmp_path: Path, change: Callable[[Path], object]) -> None:
        task = picture_task(tmp_path)
        before = load_split(task, "train").fingerprint
        change(tmp_path)
        assert load_split(task, "train").fingerprint != before

    @pytest.mark.parametrize(
        "change",
        [
            {"prompt": "{question}\n{choices}"},
            {"choice_format": "{letter}) {text}"},
            {"choice_separator": " "},
            {"max_new_tokens": 17},
            {"metric": "exact_match"},
            {"metric": "choice_likelihood", "answer": "choose"},
        ],
    )
    def test_changes_with_what_is_asked(self, tmp_path: Path, change: dict[str, str]) -> None:
        task = picture_task(tmp_path)
        before = load_split(task, "train").fingerprint
        assert load_split(replace(task, **change), "train").fingerprint != before  # type: ignore[arg-type]

    def test_changes_with_the_metric_s_options(self) -> None:
        plain = load_split(make_task(), "train").fingerprint
        literal = make_task(metric_options={"normalised": False})
        assert load_split(literal, "train").fingerprint != plain

    def test_changes_with_the_samples_chosen(self) -> None:
        prints = {load_split(LARGE, "train", 20, seed).fingerprint for seed in range(3)}
        assert len(prints) == 3

    def test_changes_with_the_caption_tokens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from depthprune.tasks.metrics import captions

        task = make_task(metric="cider_d")
        split_words = captions._split_treebank
        monkeypatch.setattr(captions, "_has_ptb", lambda: True)
        monkeypatch.setattr(captions, "_split_ptb", split_words)
        monkeypatch.delenv(captions.VARIABLE, raising=False)
        java = load_split(task, "train")
        monkeypatch.setattr(captions, "_has_ptb", lambda: False)
        without = load_split(task, "train")
        assert java.scorer.name != without.scorer.name
        assert java.fingerprint != without.fingerprint


class TestImageDigest:
    def test_of_a_source_s_own_image_class_is_that_of_the_pixels(self) -> None:
        @dataclass
        class Painted:
            color: str

            def open(self) -> Image.Image:
                return Image.new("RGB", (2, 2), self.color)

        digests = [image_digest(Painted(color)) for color in ("red", "blue", "red")]
        assert digests[0] == digests[2] != digests[1]
