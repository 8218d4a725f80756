"""A model folder that changes between two runs: refused by name, or, where nothing changes, not.

Each case profiles a copy of the demo in a study, changes one thing, and profiles it again there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from depthprune.base.errors import StudyError
from depthprune.blocks.models import load_model
from depthprune.strategies import Ablation
from depthprune.strategies.model import ModelSource
from depthprune.strategies.options import SearchOptions
from depthprune.strategies.pipeline import SearchOutcome, SearchRequest, search_model
from depthprune.study import StudyStore
from depthprune.tasks import metrics
from depthprune.tasks.demo import MODEL_PATH
from depthprune.tasks.options import DataOptions
from depthprune.tasks.registry import get_task

Change = Callable[[Path], None]


def profile(
    folder: Path, *, dtype: str = "float32", task_file: Path | None = None
) -> SearchOutcome:
    """Profile two blocks of `folder/model` on four samples, in the study `folder/study`."""
    files = () if task_file is None else (task_file,)
    name = "demo_okvqa" if task_file is None else "mine"
    request = SearchRequest(
        ModelSource(source=str(folder / "model"), dtype=dtype, self_check=False),
        (get_task(name, files=files),),
        ("validation",),
        folder / "study",
        SearchOptions(Ablation(), protect=frozenset(range(2, 16))),
        num_samples=4,
        allow_weak_baseline=True,
        data=DataOptions(task_files=files),
    )
    return search_model(request)


@pytest.fixture(scope="session")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("profiled")
    shutil.copytree(MODEL_PATH, folder / "model")
    profile(folder)
    return folder


@pytest.fixture
def folder(profiled: Path, tmp_path: Path) -> Path:
    shutil.copytree(profiled, tmp_path, dirs_exist_ok=True)
    return tmp_path


def edit(name: str, **values: Any) -> Change:
    """Return a change of fields, `image_processor__size` being one inside another."""

    def change(model: Path) -> None:
        content = json.loads((model / name).read_text())
        for path, value in values.items():
            *above, last = path.split("__")
            place = content
            for step in above:
                place = place[step]
            place[last] = value
        (model / name).write_text(json.dumps(content))

    return change


def edit_template(before: str, after: str) -> Change:
    def change(model: Path) -> None:
        file = model / "chat_template.jinja"
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after))

    return change


def remove_template(model: Path) -> None:
    (model / "chat_template.jinja").unlink()


def add_token(model: Path) -> None:
    tokenizer = load_model(model).tokenizer
    tokenizer.add_tokens(["colour"])
    tokenizer.save_pretrained(model)


def edit_tokenizer(edit_content: Callable[[dict[str, Any]], None]) -> Change:
    def change(model: Path) -> None:
        content = json.loads((model / "tokenizer.json").read_text())
        edit_content(content)
        (model / "tokenizer.json").write_text(json.dumps(content))

    return change


def lower_case(content: dict[str, Any]) -> None:
    content["normalizer"] = {"type": "Lowercase"}


def lose_a_merge(content: dict[str, Any]) -> None:
    content["model"]["merges"].pop()


def change_a_weight(model: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(model / "model.safetensors")
    next(iter(tensors.values())).view(-1)[0] += 1
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})


REFUSED: dict[str, tuple[Change, str]] = {
    "template edited": (
        edit_template("<|user|>", "Be brief. <|user|>"),
        r"the chat template: was .*, is .*Be brief",
    ),
    "template removed": (remove_template, "the chat template: was .*, is 'none'"),
    "template of white space": (edit_template("{{ bos_token }}", "{{ bos_token }} "), "template"),
    "image mean": (
        edit("processor_config.json", image_processor__image_mean=[0.1, 0.5, 0.5]),
        r"processor \(image_processor.image_mean\): was '\[0.5, 0.5, 0.5\]', is '\[0.1, ",
    ),
    "resizing": (
        edit("processor_config.json", image_processor__do_rescale=False),
        r"image_processor.do_rescale\): was 'true', is 'false'",
    ),
    "resampling": (
        edit("processor_config.json", image_processor__resample=0),
        r"image_processor.resample\): was '3', is '0'",
    ),
    "picture tokens": (
        edit("processor_config.json", num_additional_image_tokens=1),
        r"num_additional_image_tokens\): was '0', is '1'",
    ),
    "end token": (
        edit("generation_config.json", eos_token_id=0),
        r"generation config \(eos_token_id\): was '\[2\]', is '\[0",
    ),
    "more end tokens": (
        edit("generation_config.json", eos_token_id=[2, 5, 9]),
        r"eos_token_id\): was '\[2\]', is '\[2, 5, 9\]'",
    ),
    "added token": (add_token, r"the tokenizer \(added_tokens\)"),
    "normaliser": (
        edit_tokenizer(lower_case),
        r"tokenizer \(normalizer\): was absent, is '.*Lowercase",
    ),
    "merges": (
        edit_tokenizer(lose_a_merge),
        r"tokenizer \(model.merges\): was '346 entries.*', is '345 entries",
    ),
    "config": (
        edit("config.json", text_config__rms_norm_eps=0.01),
        r"the model config \(text_config.rms_norm_eps\): was '1e-05', is '0.01'",
    ),
    "weight": (change_a_weight, "its weights have changed"),
}


@pytest.mark.parametrize(("change", "told"), REFUSED.values(), ids=REFUSED)
def test_what_decides_an_answer_is_refused_by_name_before_anything_is_measured(
    folder: Path, change: Change, told: str
) -> None:
    before = (folder / "study" / "study.db").read_bytes()
    change(folder / "model")
    with pytest.raises(StudyError, match=told) as refused:
        profile(folder)
    assert "output=NEW" in str(refused.value.mend)
    assert (folder / "study" / "study.db").read_bytes() == before


def test_a_template_put_in_after_the_profile_is_refused(tmp_path: Path) -> None:
    shutil.copytree(MODEL_PATH, tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").rename(tmp_path / "template")
    profile(tmp_path)
    (tmp_path / "template").rename(tmp_path / "model" / "chat_template.jinja")
    with pytest.raises(StudyError, match="the chat template: was 'none', is "):
        profile(tmp_path)


def save_again(model: Path) -> None:
    loaded = load_model(model)
    loaded.processor.save_pretrained(model)
    loaded.model.generation_config.save_pretrained(model)


def indent(model: Path) -> None:
    for name in ("processor_config.json", "tokenizer.json", "tokenizer_config.json", "config.json"):
        content = json.loads((model / name).read_text())
        turned = dict(reversed(content.items())) if name != "tokenizer.json" else content
        (model / name).write_text(json.dumps(turned, indent=7))


def move(model: Path) -> None:
    model.rename(model.with_name("elsewhere"))
    shutil.copytree(model.with_name("elsewhere"), model)


def link(model: Path) -> None:
    model.rename(model.with_name("elsewhere"))
    model.symlink_to(model.with_name("elsewhere"))


WELCOME: dict[str, Change] = {
    "untouched": lambda model: None,
    "saved again": save_again,
    "written otherwise": indent,
    "copied": move,
    "linked": link,
    "sampling, which is not used": edit("generation_config.json", temperature=0.3, do_sample=True),
    "a note": lambda model: (model / "README.md").write_text("mine") and None,
}


@pytest.mark.parametrize("change", WELCOME.values(), ids=WELCOME)
def test_what_changes_no_answer_is_gone_on_with(folder: Path, change: Change) -> None:
    change(folder / "model")
    report = profile(folder).report
    assert (report.measured, report.reused) == (0, 3)


def test_a_folder_with_another_name_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    (folder / "model").rename(folder / "renamed")
    (folder / "model").symlink_to("renamed")
    assert profile(folder).report.measured == 0


def test_another_dtype_has_measurements_of_its_own(folder: Path) -> None:
    report = profile(folder, dtype="bfloat16").report
    assert (report.measured, report.reused) == (3, 0)
    with StudyStore.open(folder / "study", read_only=True) as study:
        (stored,) = study.splits()
        assert stored.settings == ("greedy dtype=bfloat16", "greedy dtype=float32")
        dtypes = [one.how["model"]["dtype"] for one in study.runs()]  # type: ignore[index]
        assert dtypes == ["float32", "bfloat16"]


def test_another_rule_of_the_metric_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = metrics.METRICS["vqa_accuracy"]
    newer = rule._replace(version=rule.version + 1)
    monkeypatch.setitem(metrics.METRICS._members, "vqa_accuracy", newer)
    with pytest.raises(StudyError, match="the rule of the metric vqa_accuracy has changed since"):
        profile(folder)


def test_a_study_says_how_it_was_measured_and_what_was_sent(folder: Path) -> None:
    with StudyStore.open(folder / "study", read_only=True) as study:
        (stored,) = study.splits()
        (run,) = study.runs()
        prompts = study.prompts(stored.key, stored.settings[0])
        assert {one.run for one in study.measurements()} == {run.key}
        assert stored.record.metric_version == metrics.METRICS["vqa_accuracy"].version
        assert [len(one) for one in stored.record.pictures] == [1, 1, 1, 1]
    assert prompts is not None
    assert len(prompts) == 4
    assert all(text.startswith("<s><|user|><image>") for (text,) in prompts)
    assert all(text.endswith("<|assistant|>") for (text,) in prompts)
    how: Any = run.how
    assert (how["num_samples"], how["seed"], how["splits"]) == (4, 0, ["validation"])
    assert how["model"]["dtype"] == "float32"
    assert how["model"]["device"] == "cpu"
    assert how["tasks"][0]["name"] == "demo_okvqa"
    assert {"torch", "transformers", "depthprune"} <= set(how["versions"])


def test_other_versions_and_devices_are_noted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("depthprune.strategies.how._version", lambda name: "0.0.1")
    profile(folder)
    assert "was measured with torch" in caplog.text
    assert "(now 0.0.1)" in caplog.text
    caplog.clear()
    profile(folder)
    assert "was measured with" not in caplog.text


@pytest.fixture(scope="session")
def own_task_profiled(profiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a task of one's own, with pictures, on which the model was profiled too."""
    folder = tmp_path_factory.mktemp("own") / "folder"
    shutil.copytree(profiled, folder)
    (folder / "data").mkdir()
    for number in range(4):
        Image.new("RGB", (48, 48), (60 * number, 90, 120)).save(folder / f"data/{number}.png")
    lines = [
        {"id": str(number), "question": "what colour?", "image": f"{number}.png", "answers": ["a"]}
        for number in range(4)
    ]
    (folder / "data" / "validation.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "tasks.yaml").write_text(
        "mine:\n  task_type: VQA\n  path: data\n  metric: exact_match\n  max_new_tokens: 4\n"
    )
    assert profile(folder, task_file=folder / "tasks.yaml").report.measured == 3
    return folder


@pytest.fixture
def mine(own_task_profiled: Path, tmp_path: Path) -> Path:
    shutil.copytree(own_task_profiled, tmp_path, dirs_exist_ok=True)
    return tmp_path / "tasks.yaml"


def test_an_unchanged_task_is_gone_on_with(mine: Path) -> None:
    assert profile(mine.parent, task_file=mine).report.measured == 0


def draw_otherwise(folder: Path) -> None:
    Image.new("RGB", (48, 48), (255, 255, 255)).save(folder / "data" / "2.png")


def replace_text(name: str, before: str, after: str) -> Change:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert before in text
        (folder / name).write_text(text.replace(before, after, 1))

    return change


OTHER_TASKS: dict[str, tuple[Change, str]] = {
    "picture": (draw_otherwise, r"the pictures \(sample validation/2\): was "),
    "references": (replace_text("data/validation.jsonl", '["a"]', '["b"]'), "reference answers"),
    "question": (
        replace_text("data/validation.jsonl", "what colour?", "which colour?"),
        r"the prompts \(sample validation/0\): was .*what colour.*, is .*which colour",
    ),
    "answer length": (
        replace_text("tasks.yaml", "max_new_tokens: 4", "max_new_tokens: 5"),
        r"the task mine \(max_new_tokens\): was '4', is '5'",
    ),
    "metric": (
        replace_text("tasks.yaml", "metric: exact_match", "metric: vqa_accuracy"),
        r"the task mine \(metric\): was 'exact_match', is 'vqa_accuracy'",
    ),
    "prompt": (
        replace_text("tasks.yaml", "metric:", 'prompt: "{question} Be brief."\n  metric:'),
        r"the task mine \(prompt\): was '{question}', is '{question} Be brief.'",
    ),
}


@pytest.mark.parametrize(("change", "told"), OTHER_TASKS.values(), ids=OTHER_TASKS)
def test_a_task_that_changed_is_refused_by_name(mine: Path, change: Change, told: str) -> None:
    folder = mine.parent
    change(folder)
    with pytest.raises(StudyError, match=f"mine validation has changed since.*{told}") as refused:
        profile(folder, task_file=mine)
    assert "output=NEW" in str(refused.value.mend)


def test_a_changed_task_may_be_changed_back(mine: Path) -> None:
    folder = mine.parent
    picture = (folder / "data" / "2.png").read_bytes()
    draw_otherwise(folder)
    with pytest.raises(StudyError):
        profile(folder, task_file=mine)
    (folder / "data" / "2.png").write_bytes(picture)
    assert profile(folder, task_file=mine).report.measured == 0


def test_a_changed_task_has_measurements_of_its_own_under_other_settings(mine: Path) -> None:
    folder = mine.parent
    draw_otherwise(folder)
    report = profile(folder, dtype="bfloat16", task_file=mine).report
    assert (report.measured, report.reused) == (3, 0)
