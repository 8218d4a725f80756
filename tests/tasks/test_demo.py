"""The embedded demo: eight datasets that never change, and a model that can do them."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from depthprune.base.errors import TaskError
from depthprune.tasks import demo

ANNOTATED = ("demo_coco_2014_vqa", "demo_okvqa", "demo_text_vqa")
MULTIPLE_CHOICE = "demo_science_qa_img"

PINS = {
    "demo_coco_2014_vqa": "4c06be1304cfdcff",
    "demo_okvqa": "2f45be2918278f63",
    "demo_text_vqa": "d7c8a2fbeb43b7a9",
    "demo_st_qa": "701252439dda090a",
    "demo_doc_qa": "26dd30f4f7405e69",
    "demo_tally_qa": "13bc005ffce6a290",
    "demo_science_qa_img": "66ce4d1d56dddefc",
    "demo_coco_caption": "353305d5c16ece16",
}


def digest(rows: list[dict[str, Any]]) -> str:
    """A short hash over everything in the rows."""
    content = hashlib.sha256()
    for row in rows:
        content.update(np.asarray(row["image"]).tobytes())
        texts = [row["id"], row["question"], *row["answers"], *row.get("choices", [])]
        content.update("\n".join(texts).encode())
    return content.hexdigest()[:16]


@pytest.mark.parametrize("name", demo.NAMES)
def test_samples_are_pinned(name: str) -> None:
    assert digest(demo.rows(name, "train", 2) + demo.rows(name, "validation", 2)) == PINS[name]


@pytest.mark.parametrize("name", demo.NAMES)
def test_a_sample_does_not_depend_on_how_many_are_asked_for(name: str) -> None:
    many = demo.rows(name, "validation", 5)

    assert digest(demo.rows(name, "validation", 3)) == digest(many[:3])


@pytest.mark.parametrize("name", demo.NAMES)
def test_splits_differ(name: str) -> None:
    train, validation = demo.rows(name, "train", 30), demo.rows(name, "validation", 30)

    pictures = {np.asarray(row["image"]).tobytes() for row in train + validation}

    assert len(pictures) == 60


@pytest.mark.parametrize("split", demo.SPLITS)
@pytest.mark.parametrize("name", demo.NAMES)
def test_rows_are_complete(name: str, split: str) -> None:
    rows = demo.rows(name, split, 60)

    assert [row["id"] for row in rows] == [f"{name}/{split}/{i}" for i in range(60)]
    for row in rows:
        assert row["image"].size == (48, 48)
        assert row["image"].mode == "RGB"
        assert row["question"]
        assert all(row["answers"])
        assert len(row["answers"]) == (10 if name in ANNOTATED else 1)


@pytest.mark.parametrize("name", ANNOTATED)
def test_most_annotators_agree_and_no_error_is_made_twice(name: str) -> None:
    dissent = 0
    for row in demo.rows(name, "validation", 200):
        counts = sorted(row["answers"].count(answer) for answer in set(row["answers"]))
        assert counts[-1] >= 7
        assert all(count == 1 for count in counts[:-1])
        dissent += len(counts) > 1

    assert dissent > 50


def test_options_are_not_part_of_the_question() -> None:
    for row in demo.rows(MULTIPLE_CHOICE, "validation", 100):
        assert "A)" not in row["question"]
        assert len(set(row["choices"])) == 3
        assert row["answers"] == [row["answer"]]
        assert row["answer"] in "ABC"


def test_asking_for_more_than_there_is_gives_all() -> None:
    assert len(demo.rows("demo_okvqa", "train", 10**6)) == demo.SAMPLES


@pytest.mark.parametrize(("name", "split"), [("demo_nothing", "train"), ("demo_okvqa", "test")])
def test_unknown_names_are_refused(name: str, split: str) -> None:
    with pytest.raises(TaskError, match="demo_"):
        demo.rows(name, split)


def test_importing_the_demo_does_not_import_torch() -> None:
    code = "import sys, depthprune.tasks.demo; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_checkpoint_is_small_and_readable() -> None:
    files = list(demo.MODEL_PATH.iterdir())

    assert sum(path.stat().st_size for path in files) < 4_000_000
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444 for path in files)


@pytest.fixture(scope="module")
def model_and_processor() -> tuple[Any, Any]:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForImageTextToText.from_pretrained(
        demo.MODEL_PATH, dtype=torch.float32
    )
    return model.eval(), transformers.AutoProcessor.from_pretrained(demo.MODEL_PATH)


def ask(model_and_processor: tuple[Any, Any], row: dict[str, Any]) -> str:
    """The model's answer to one row, by plain `generate`."""
    model, processor = model_and_processor
    options = [
        f"{letter}) {text}" for letter, text in zip("ABC", row.get("choices", []), strict=False)
    ]
    content = [
        {"type": "image", "image": row["image"]},
        {"type": "text", "text": " ".join([row["question"], *options])},
    ]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    output = model.generate(**inputs, max_new_tokens=16, do_sample=False)
    return str(processor.decode(output[0, inputs["input_ids"].shape[1] :], True)).strip()


def test_the_model_has_sixteen_blocks(model_and_processor: tuple[Any, Any]) -> None:
    model, _ = model_and_processor

    assert len(model.model.language_model.layers) == 16


@pytest.mark.parametrize("name", demo.NAMES)
def test_the_model_knows_most_answers(name: str, model_and_processor: tuple[Any, Any]) -> None:
    rows = demo.rows(name, "validation", 25)

    right = [ask(model_and_processor, row) in row["answers"] for row in rows]

    assert sum(right) >= 17
