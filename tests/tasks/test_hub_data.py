"""The built-in tasks read data in the real schemas of the hub, through the `datasets` library."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import TaskError
from depthprune.tasks import get_task, load_split
from depthprune.tasks import sources as hub
from depthprune.tasks.fields import Fields
from depthprune.tasks.sources import HubSource
from depthprune.tasks.task import Task
from tests.tasks.samples import png

datasets = pytest.importorskip("datasets")

TEXT, NUMBER, IMAGE = datasets.Value("string"), datasets.Value("int64"), datasets.Image()
TEXTS = datasets.List(TEXT)
PICTURE = {"bytes": png("red"), "path": "red.png"}

# The columns of each dataset, with their types, and one row.
SCHEMAS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "coco_2014_vqa": (
        {
            "question_type": TEXT,
            "multiple_choice_answer": TEXT,
            "answers": [{"answer": TEXT, "answer_confidence": TEXT, "answer_id": NUMBER}],
            "image_id": NUMBER,
            "answer_type": TEXT,
            "question_id": NUMBER,
            "question": TEXT,
            "image": IMAGE,
        },
        {
            "answers": [
                {"answer": "down" if i < 4 else "at table", "answer_confidence": "yes",
                 "answer_id": i + 1}
                for i in range(10)
            ],
            "question": "Where is he looking?",
            "image": PICTURE,
        },
    ),
    "text_vqa": (
        {
            "image_id": TEXT, "question_id": datasets.Value("int32"), "question": TEXT,
            "question_tokens": TEXTS, "image": IMAGE, "image_width": datasets.Value("int32"),
            "image_height": datasets.Value("int32"), "flickr_original_url": TEXT,
            "flickr_300k_url": TEXT, "answers": TEXTS, "image_classes": TEXTS, "set_name": TEXT,
            "ocr_tokens": TEXTS,
        },
        {"question": "what brand?", "answers": ["nokia"] * 10, "image": PICTURE},
    ),
    "okvqa": (
        {
            "question_id": TEXT, "image": IMAGE, "question": TEXT, "answers": TEXTS,
            "question_type": TEXT, "answer_type": TEXT,
        },
        {"question": "what sport?", "answers": ["race"] * 6 + ["motocross"] * 4, "image": PICTURE},
    ),
    "science_qa_img": (
        {
            "image": IMAGE, "question": TEXT, "choices": TEXTS, "answer": datasets.Value("int8"),
            "hint": TEXT, "task": TEXT, "grade": TEXT, "subject": TEXT, "topic": TEXT,
            "category": TEXT, "skill": TEXT, "lecture": TEXT, "solution": TEXT,
        },
        {
            "image": PICTURE, "question": "Which is heavier?", "choices": ["iron", "wood"],
            "answer": 0, "hint": "Both have the same size.",
        },
    ),
    "st_qa": (
        {"path": TEXT, "question": TEXT, "dictionary": TEXTS, "answer": TEXTS, "image": IMAGE},
        {"question": "what is the shop called?", "answer": ["Zara", "ZARA"], "image": PICTURE},
    ),
    "doc_qa": (
        {
            "questionId": datasets.Value("int32"), "question": TEXT, "question_types": TEXTS,
            "image": IMAGE, "docId": datasets.Value("int32"), "ucsf_document_id": TEXT,
            "ucsf_document_page_no": TEXT, "answers": TEXTS,
        },
        {"question": "What is the date?", "answers": ["1/8/93"], "image": PICTURE},
    ),
    "tally_qa": (
        {
            "image": IMAGE,
            "qa": [{"question": TEXT, "answer": TEXT, "is_simple": datasets.Value("bool")}],
        },
        {
            "image": PICTURE,
            "qa": [
                {"question": "How many dogs?", "answer": "2", "is_simple": True},
                {"question": "How many red dogs?", "answer": "1", "is_simple": False},
            ],
        },
    ),
    "coco_caption": (
        {
            "question_id": TEXT, "image": IMAGE, "question": TEXT, "answer": TEXTS,
            "id": NUMBER, "license": datasets.Value("int8"), "file_name": TEXT, "coco_url": TEXT,
            "height": datasets.Value("int32"), "width": datasets.Value("int32"),
            "date_captured": TEXT,
        },
        {
            "image": PICTURE, "question": "Please carefully observe the image ...",
            "answer": ["A man rides a horse.", "A man on a horse."],
        },
    ),
    "mmmu": (
        {
            "id": TEXT, "question": TEXT, "options": TEXT, "explanation": TEXT,
            **{f"image_{i}": IMAGE for i in range(1, 8)},
            "img_type": TEXT, "answer": TEXT, "topic_difficulty": TEXT, "question_type": TEXT,
            "subfield": TEXT,
        },
        {
            "question": "<image 1> Which curve is <image 2>?", "options": "['demand', 'supply']",
            "image_1": PICTURE, "image_2": PICTURE, "answer": "B",
        },
    ),
}  # fmt: skip

# What is asked and answered after loading: the prompt, a right answer, a wrong one.
EXPECTED = {
    "coco_2014_vqa": ("Where is he looking?", "Down.", "up"),
    "text_vqa": ("what brand?", "Nokia", "samsung"),
    "okvqa": ("what sport?", "a race", "golf"),
    "science_qa_img": ("Both have the same size.\nWhich is heavier?", "A. iron", "B"),
    "st_qa": ("what is the shop called?", "zara", "mango"),
    "doc_qa": ("What is the date?", "1/8/93", "June"),
    "tally_qa": ("How many dogs?", "two", "three"),
    "coco_caption": ("Please carefully observe the image ...", "a man rides a horse", "a cat"),
    "mmmu": ("<image 1> Which curve is <image 2>?", "(B) supply", "A"),
}


def write_dataset(
    folder: Path, features: Mapping[str, Any], splits: Mapping[str, list[dict[str, Any]]]
) -> Path:
    """Write a dataset as it lies on the hub: Parquet files below `data/`."""
    schema = datasets.Features(features)
    for split, rows in splits.items():
        full = [{name: row.get(name) for name in features} for row in rows]
        data = datasets.Dataset.from_list(full, features=schema)
        (folder / "data").mkdir(parents=True, exist_ok=True)
        data.to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
    return folder


def hub_task(name: str, folder: Path) -> Task:
    """Return a built-in task whose dataset is a folder instead of a name on the hub."""
    task = get_task(name)
    assert isinstance(task.source, HubSource)
    return replace(task, source=replace(task.source, name=str(folder)))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the cache of `datasets` apart."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_built_in_task_reads_the_schema_of_its_dataset(name: str, tmp_path: Path) -> None:
    features, row = SCHEMAS[name]
    task = hub_task(name, tmp_path / "hub")
    second = row | ({"answer": ["A cat sleeps."]} if name == "coco_caption" else {})
    write_dataset(tmp_path / "hub", features, {task.validation_split: [row, second]})
    split = load_split(task, "validation")
    question, right, wrong = EXPECTED[name]
    sample = split.samples[0]
    assert sample.question == question
    assert sample.id == f"{task.validation_split}/0"
    assert sample.images[0].open().getpixel((0, 0)) == (255, 0, 0)
    good, bad = split.scorer.score_many([sample, sample], [right, wrong])
    assert good > 0.99
    assert bad == 0


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_local_copy_of_the_parquet_files_gives_the_same_samples(
    name: str, tmp_path: Path
) -> None:
    features, row = SCHEMAS[name]
    task = hub_task(name, tmp_path / name)
    write_dataset(tmp_path / name, features, {task.validation_split: [row, row]})
    local = get_task(name, data_dir=tmp_path)
    assert load_split(local, "validation").fingerprint == load_split(task, "validation").fingerprint


def test_tally_qa_makes_a_sample_of_each_question(tmp_path: Path) -> None:
    features, row = SCHEMAS["tally_qa"]
    write_dataset(tmp_path / "hub", features, {"test": [row, row]})
    samples = load_split(hub_task("tally_qa", tmp_path / "hub"), "test").samples
    assert [sample.references for sample in samples] == [("2",), ("1",)] * 2


def test_mmmu_takes_only_the_images_that_are_there(tmp_path: Path) -> None:
    features, row = SCHEMAS["mmmu"]
    write_dataset(tmp_path / "hub", features, {"dev": [row]})
    (sample,) = load_split(hub_task("mmmu", tmp_path / "hub"), "train").samples
    assert len(sample.images) == 2


def test_a_damaged_image_is_found_when_the_split_is_loaded(tmp_path: Path) -> None:
    features, row = SCHEMAS["okvqa"]
    broken = row | {"image": {"bytes": b"not a picture", "path": None}}
    write_dataset(tmp_path / "hub", features, {"val2014": [broken]})
    with pytest.raises(TaskError, match="not an image of the types") as error:
        load_split(hub_task("okvqa", tmp_path / "hub"), "validation")
    assert "val2014, row 1" in str(error.value)


def test_a_parquet_file_cannot_make_us_open_other_files(tmp_path: Path) -> None:
    _, row = SCHEMAS["okvqa"]
    (tmp_path / "secret.png").write_bytes(png())
    sly = row | {"image": {"bytes": None, "path": str(tmp_path / "secret.png")}}
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (tmp_path / "hub" / "data").mkdir(parents=True)
    table = pyarrow.Table.from_pylist([sly])
    parquet.write_table(table, tmp_path / "hub" / "data" / "val2014-00000-of-00001.parquet")
    with pytest.raises(TaskError, match="leads out of the data folder"):
        load_split(hub_task("okvqa", tmp_path / "hub"), "validation")


def test_a_configuration_is_chosen(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.jsonl").write_text(f'{{"question": "{name} ?", "answer": "a"}}')
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n"
        "- config_name: first\n  data_files:\n  - split: train\n    path: one/train.jsonl\n"
        "- config_name: second\n  data_files:\n  - split: train\n    path: two/train.jsonl\n---\n"
    )
    source = HubSource(str(tmp_path), config="second")
    assert source.samples("train")[0].question == "two ?"
    assert source.describe() == f"{tmp_path} (second)"


def test_a_column_that_is_missing_names_those_that_are_there(tmp_path: Path) -> None:
    write_dataset(tmp_path, {"question": TEXT, "answer": TEXT}, {"train": [{"question": "?"}]})
    with pytest.raises(TaskError, match="'label' is missing") as error:
        HubSource(str(tmp_path), fields=Fields(answers="label")).samples("train")
    assert "available fields: question, answer" in str(error.value)


def test_a_missing_split(tmp_path: Path) -> None:
    write_dataset(tmp_path, {"question": TEXT, "answer": TEXT}, {"train": [{"question": "?"}]})
    with pytest.raises(TaskError, match="no split test"):
        HubSource(str(tmp_path)).samples("test")


def test_a_dataset_in_the_cache_is_read_without_the_network(tmp_path: Path, cache: Path) -> None:
    features, row = SCHEMAS["okvqa"]
    write_dataset(tmp_path / "pictures", features, {"val2014": [row]})
    datasets.load_dataset(str(tmp_path / "pictures"), cache_dir=str(cache))
    (prepared,) = (cache / "pictures").glob("*/*/*/")
    # What a download of nobody/pictures would have left behind.
    shutil.move(prepared, cache / "nobody___pictures" / "default" / "0.0.0" / prepared.name)
    shutil.rmtree(tmp_path / "pictures")
    sample = HubSource("nobody/pictures").samples("val2014")[0]
    assert sample.question == "what sport?"
    assert sample.images[0].open().getpixel((0, 0)) == (255, 0, 0)


def test_a_dataset_that_is_not_in_the_cache_says_how_to_get_it() -> None:
    with pytest.raises(TaskError, match="not in the cache") as error:
        HubSource("nobody/no-such-dataset").splits()
    assert "allow the download" in str(error.value)
    assert "Hugging Face hub, nobody/no-such-dataset" in str(error.value)


def test_nothing_is_asked_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(TaskError):
        HubSource("nobody/no-such-dataset").splits()


def test_the_switch_for_the_network_is_put_back() -> None:
    before = datasets.config.HF_HUB_OFFLINE
    with pytest.raises(TaskError):
        HubSource("nobody/no-such-dataset").splits()
    assert before == datasets.config.HF_HUB_OFFLINE


def test_a_download_that_is_allowed_and_fails_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("the hub cannot be reached\nlong story")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(TaskError) as error:
        HubSource("nobody/no-such-dataset", download=True).splits()
    assert error.value.what == "the dataset cannot be loaded: the hub cannot be reached"


def test_code_of_a_dataset_is_never_executed(tmp_path: Path) -> None:
    folder = tmp_path / "sly"
    folder.mkdir()
    (folder / "sly.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')")
    with pytest.raises(TaskError):
        HubSource(str(folder)).splits()
    assert not (tmp_path / "executed").exists()


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from depthprune.base.errors import MissingDependencyError

    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match="package datasets"):
        hub._import_datasets()
