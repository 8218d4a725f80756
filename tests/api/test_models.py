"""Models, tasks and cuts, in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import depthprune as dp
from depthprune.base.errors import (
    FileError,
    InadmissibleRemovalError,
    MissingSplitError,
    ModelError,
    RemovalError,
    StackError,
    TaskError,
)
from depthprune.tasks.demo import MODEL_PATH


def logits(model: dp.Model) -> Any:
    """Return what the model makes of a few tokens."""
    import torch

    ids = torch.tensor([[1, 20, 30, 40, 50]])
    with torch.inference_mode():
        return model.model(input_ids=ids).logits


def test_a_model_says_what_it_is(demo: dp.Model) -> None:
    assert (demo.name, demo.num_blocks) == ("demo", 16)
    assert len(demo.fingerprint) == 64
    assert demo.stack == dp.find_stack(demo) == dp.find_stack(demo.model)
    assert demo.processor is not None
    assert repr(demo).startswith("Model('demo', Llava")


def test_a_folder_is_the_model_that_lies_there(demo: dp.Model) -> None:
    for source in (MODEL_PATH, str(MODEL_PATH)):
        assert dp.load_model(source).fingerprint == demo.fingerprint


def test_a_torch_module_is_taken_as_it_is(demo: dp.Model) -> None:
    demo.model.train()
    found = dp.load_model(demo.model, processor=demo.processor)
    assert found.model is demo.model
    assert not found.model.training
    assert found.num_blocks == 16
    # Its fingerprint follows the weights, not the files.
    assert found.fingerprint == dp.load_model(demo.model).fingerprint
    weight = next(iter(demo.model.parameters()))
    weight.data += 1
    try:
        assert dp.load_model(demo.model).fingerprint != found.fingerprint
    finally:
        weight.data -= 1


def test_other_modules_are_refused() -> None:
    from torch import nn

    with pytest.raises(ModelError, match="no model of transformers"):
        dp.load_model(nn.Sequential(nn.Linear(2, 2)))


def test_what_cannot_be_loaded_names_the_option(demo: dp.Model, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        dp.load_model(tmp_path / "nothing")
    with pytest.raises(ModelError) as raised:
        dp.load_model("demo", processor=demo.processor)
    assert raised.value.option == "processor"
    with pytest.raises(StackError):
        dp.load_model("demo", stack="nonsense")


def test_skipped_blocks_are_gone_and_come_back(demo: dp.Model) -> None:
    whole = logits(demo)
    with dp.skip(demo, [4, 13]) as module:
        assert module is demo.model
        skipped = logits(demo)
    with dp.skip(demo.model, (4, 13), demo.stack):
        assert (logits(demo) == skipped).all()
    assert (skipped != whole).any()
    assert (logits(demo) == whole).all()
    with pytest.raises(RemovalError), dp.skip(demo, [16]):
        pass


def test_tasks_are_loaded_by_name_or_as_objects() -> None:
    splits = dp.load_tasks("demo", num_samples=2)
    assert len(splits) == 8
    assert {one.split for one in splits} == {"train+validation"}
    assert all(len(one.samples) == 2 for one in splits)
    (one,) = dp.load_tasks("demo-okvqa", split="validation", num_samples=3, seed=1)
    (same,) = dp.load_tasks(one.task, split="validation", num_samples=3, seed=1)
    assert same.fingerprint == one.fingerprint
    assert isinstance(one, dp.TaskSplit)


def test_tasks_of_a_file_are_found(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/validation.jsonl").write_text('{"question": "1 + 1 =", "answers": ["2"]}\n')
    (tmp_path / "tasks.yaml").write_text(
        "sums:\n  task_type: Exact Match\n  path: data\n  metric: exact_match\n"
    )
    (one,) = dp.load_tasks("sums", task_files=[tmp_path / "tasks.yaml"], split="validation")
    assert one.samples[0].references == ("2",)


def test_tasks_that_cannot_be_loaded_are_told() -> None:
    with pytest.raises(TaskError, match="no task was named"):
        dp.load_tasks()
    with pytest.raises(TaskError, match="okvqaa"):
        dp.load_tasks("demo_okvqaa")
    with pytest.raises(MissingSplitError):
        dp.load_tasks("demo_okvqa", split="test")


def test_a_cut_is_planned_written_and_checked(tmp_path: Path) -> None:
    plan = dp.cut("demo", [4, 13], dry_run=True)
    assert (plan.folder, plan.removal) == (None, (4, 13))
    assert plan.plan.bytes_after < plan.plan.bytes_before
    made = dp.cut("demo", (13, 4), str(tmp_path / "cut"), verify=True, also=["mergekit"])
    assert made.folder == tmp_path / "cut"
    assert made.verification is not None
    assert made.verification.agrees
    assert "mergekit.yaml" in made.also
    assert dp.load_model(tmp_path / "cut").num_blocks == 14
    with pytest.raises(FileError):
        dp.cut("demo", [4], tmp_path / "cut")
    assert dp.cut("demo", [4], tmp_path / "cut", overwrite=True).plan.kept[:5] == (0, 1, 2, 3, 5)


def test_a_cut_that_cannot_be_leaves_nothing(tmp_path: Path) -> None:
    for removal in ((), (16,), tuple(range(16))):
        with pytest.raises((RemovalError, InadmissibleRemovalError)):
            dp.cut("demo", removal, tmp_path / "cut")
    with pytest.raises(dp.DepthpruneError, match="where to write"):
        dp.cut("demo", [4])
    assert not list(tmp_path.iterdir())


def test_the_structure_of_a_checkpoint_is_a_value(tmp_path: Path) -> None:
    dp.cut("demo", [4, 13], tmp_path / "cut", progress=False)
    found = dp.structure.analyze(tmp_path / "cut", "demo")
    assert found.comparison is not None
    assert [one.index for one in found.comparison.layers if one.removed] == [4, 13]
    outcome = dp.structure.batch(str(tmp_path), "demo", str(tmp_path / "out"))
    assert [one.status for one in outcome.results] == ["success"]
    assert len(dp.structure.summarize(tmp_path / "out").models) == 1
    assert len(dp.structure.table(str(tmp_path / "out")).rows) == 1


def test_nothing_is_printed(
    demo: dp.Model, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dp.load_model("demo")
    dp.load_tasks("demo", num_samples=2)
    dp.cut("demo", [4], tmp_path / "cut", verify=True)
    with dp.skip(demo, [4]):
        logits(demo)
    dp.structure.analyze("demo")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
