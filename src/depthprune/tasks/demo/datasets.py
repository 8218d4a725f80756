"""The demo's eight datasets: each a kind of picture at a fixed difficulty, in two splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from depthprune.base.errors import TaskError
from depthprune.tasks.demo.drawing import Question, draw

#: How many samples each split of each dataset has.
SAMPLES = 500
SPLITS = ("train", "validation")
ANNOTATORS = 10


@dataclass(frozen=True)
class DemoDataset:
    """What a dataset draws: the kind of picture and its level of difficulty."""

    kind: str
    level: float
    annotators: bool = False


# The levels were calibrated after training, so that the shipped model gets 80 to 97 of 100 right:
# near its limits, where every block it loses shows.
SOURCES: dict[str, DemoDataset] = {
    "demo_coco_2014_vqa": DemoDataset("attr_vqa", 0.78, annotators=True),
    "demo_okvqa": DemoDataset("know_vqa", 1.04, annotators=True),
    "demo_text_vqa": DemoDataset("sign_vqa", 0.50, annotators=True),
    "demo_st_qa": DemoDataset("scene_text", 0.58),
    "demo_doc_qa": DemoDataset("doc_vqa", 0.95),
    "demo_tally_qa": DemoDataset("count", 0.65),
    "demo_science_qa_img": DemoDataset("mcq", 0.88),
    "demo_coco_caption": DemoDataset("caption", 0.62),
}
NAMES = tuple(SOURCES)


def rows(name: str, split: str, count: int | None = None) -> list[dict[str, Any]]:
    """The first `count` samples of a dataset's split (all 500 by default).

    Each row has `id`, `image` (48 x 48 RGB), `question`, `answers`; a multiple-choice row also has
    `choices` (whose letters are A, B, C), and `answer`, the right letter. Sample i is always the
    same picture, however many samples are asked for.

    Raises:
        TaskError: the name or the split does not exist.
    """
    check_names(name, split)
    size = SAMPLES if count is None else min(count, SAMPLES)
    return [row(name, split, index) for index in range(size)]


def check_names(name: str, split: str) -> None:
    """Raise TaskError where there is no such dataset or split."""
    if name not in SOURCES:
        raise TaskError(f"There is no demo dataset {name!r}.", mend=f"one of {', '.join(NAMES)}")
    if split not in SPLITS:
        raise TaskError(f"{name} has no split {split!r}.", mend=f"one of {', '.join(SPLITS)}")


def row(name: str, split: str, index: int) -> dict[str, Any]:
    """Sample `index` of a dataset's split, see `rows`."""
    # Here, so that the datasets can be listed where Pillow is not installed.
    from PIL import Image

    source = SOURCES[name]
    # Seeds of three numbers: training draws with four, and so never meets these pictures.
    rng = np.random.default_rng([SPLITS.index(split), NAMES.index(name), index])
    picture = draw(source.kind, rng, source.level)
    question = picture.questions[0]
    drawn: dict[str, Any] = {
        "id": f"{name}/{split}/{index}",
        "image": Image.fromarray(picture.bytes()),
        "question": question.text,
        "answers": _annotate(question, rng) if source.annotators else [question.answer],
    }
    if question.choices:
        drawn["choices"] = list(question.choices)
        drawn["answer"] = question.answer
    return drawn


def _annotate(question: Question, rng: np.random.Generator) -> list[str]:
    """Ten human answers: up to three of them differ, each in its own way.

    No wrong answer is given twice, so that it earns a third of the score at most.
    """
    dissenters = min(int(rng.integers(0, 4)), len(question.alternatives))
    wrong = [question.alternatives[i] for i in rng.permutation(len(question.alternatives))]
    answers = wrong[:dissenters] + [question.answer] * (ANNOTATORS - dissenters)
    return [answers[i] for i in rng.permutation(ANNOTATORS)]
