"""Check one architecture: the shared evaluator gives the reference's answers, or says it cannot."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from depthprune.base.log import logger
from depthprune.base.removal import Removal
from depthprune.blocks.admissible import inadmissible_reason
from depthprune.blocks.models import LoadedModel
from depthprune.blocks.stack import find_stack
from depthprune.engine import Evaluation, ReferenceEvaluator, SharedEvaluator
from depthprune.tasks.task import TaskSplit
from depthprune.testing import tiny_models as tiny
from depthprune.testing.evaluators import assert_same
from tests.architectures.check import Outcome, build, summary
from tests.architectures.inputs import MEDIA, ROWS, make_inputs
from tests.architectures.tiny_configs import FIRST_SPECIAL_TOKEN, VOCABULARY

REMOVALS: tuple[Removal, ...] = ((), (0,), (5,), (1, 3), (0, 4, 5))
SAMPLES = slice(1, 6)
ENDS = list(range(7, 19))
"""Tokens that end an answer: enough of them that some answers end early."""

SHARED, PARTLY, FELL_BACK = "shared", "partly shared", "falls back"
DIFFERS, UNAVAILABLE = "differs", "unavailable"


class PictureProcessor:
    """Puts the picture inputs that fit a tiny model in front of the words of every row."""

    chat_template = None

    def __init__(self, tokenizer: Any, inputs: dict[str, Any]) -> None:
        self.tokenizer = tokenizer
        self._inputs = inputs
        self._begin = inputs["input_ids"]

    def __call__(
        self, *, text: Sequence[str], images: Sequence[Any], padding_side: str, **options: Any
    ) -> dict[str, torch.Tensor]:
        special = options.get("add_special_tokens", True)
        words = [
            torch.tensor(self.tokenizer(each, add_special_tokens=special)["input_ids"])
            for each in text
        ]
        # The colour of a sample's picture says which of the pictures that fit stands for it.
        places = [picture.getpixel((0, 0))[0] for (picture,) in images]
        longest = max(map(len, words))
        found = {}
        for name, value in self._inputs.items():
            if name in MEDIA or not self._is_of_tokens(value):
                parts = value.chunk(ROWS)
                found[name] = torch.cat([parts[place] for place in places])
                continue
            rows = []
            for place, tokens in zip(places, words, strict=True):
                begin = value[place]
                follow = begin[-1:].expand(len(tokens), *begin.shape[1:])
                row = torch.cat([begin, tokens if name == "input_ids" else follow])
                fill = row.new_zeros(longest - len(tokens), *row.shape[1:])
                rows.append(torch.cat([fill, row] if padding_side == "left" else [row, fill]))
            found[name] = torch.stack(rows)
        return found

    def _is_of_tokens(self, value: torch.Tensor) -> bool:
        return not value.is_floating_point() and value.shape[:2] == self._begin.shape


@contextmanager
def warnings_said() -> Iterator[list[str]]:
    """Collect what the program warns of while the body runs."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)


def check_sharing(role: str, model_type: str, part: str = "text") -> Outcome:
    """Compare the answers of both evaluators on a tiny random model; never raises.

    The self-check is left out, so that nothing hides a wrong answer.
    """
    start = time.monotonic()

    def outcome(status: str, **facts: Any) -> Outcome:
        seconds = time.monotonic() - start
        return Outcome(role, model_type, part, status, seconds=seconds, **facts)

    note = ""
    for with_pictures in (True, False) if role == "vlm" else (False,):
        try:
            loaded = tiny_model(role, model_type, with_pictures)
            removals = admissible(loaded)
            splits = with_picture(tasks()) if with_pictures else tasks()
            expected = [reference(loaded, split, removals) for split in splits]
        except Exception as error:
            note = note or summary(error)
            continue
        try:
            status, note = compare(loaded, splits, removals, expected)
        except Exception as error:
            status, note = DIFFERS, summary(error)
        return outcome(status, images=with_pictures, note=note)
    return outcome(UNAVAILABLE, note=note)


def tiny_model(role: str, model_type: str, with_pictures: bool) -> LoadedModel:
    """Return a tiny random model, whose processor has a word for each of its tokens.

    Raises:
        ValueError: no picture of random pixels fits it.
    """
    model: Any = build(role, model_type)
    model.generation_config.eos_token_id = ENDS
    tokenizer = tiny.word_tokenizer()
    tokenizer.add_tokens([f"w{number}" for number in range(len(tokenizer), VOCABULARY)])
    if role == "vlm":
        _write_no_special_tokens(model)
    if not with_pictures:
        return tiny.loaded(model, tokenizer)
    inputs = make_inputs(model, role)
    if not any(name in MEDIA for name in inputs):
        raise ValueError("no picture of random pixels fits it")
    return tiny.loaded(model, PictureProcessor(tokenizer, inputs))


def _write_no_special_tokens(model: nn.Module) -> None:
    """A picture token among the answer would ask for another picture."""
    head = model.get_output_embeddings()  # type: ignore[operator]
    if head is not None:
        with torch.no_grad():
            head.weight[FIRST_SPECIAL_TOKEN:] = 0


def admissible(loaded: LoadedModel) -> tuple[Removal, ...]:
    """Return the removals that the architecture can express."""
    stack = find_stack(loaded.model)
    return tuple(
        removal
        for removal in REMOVALS
        if all(block < stack.num_blocks for block in removal)
        and len(removal) < stack.num_blocks
        and inadmissible_reason(stack, removal) is None
    )


def tasks() -> list[TaskSplit]:
    """Return questions of unequal length: to be answered, to be read and to be chosen from."""
    return [
        tiny.split_of(tiny.text_samples()[SAMPLES], max_new_tokens=5),
        tiny.split_of(tiny.read_samples()[SAMPLES], answer="read"),
        tiny.split_of(tiny.choice_samples()[SAMPLES], answer="choose"),
    ]


def with_picture(splits: Sequence[TaskSplit]) -> list[TaskSplit]:
    """Give every sample a picture, and leave out texts to be read, which have none."""
    return [
        replace(
            split,
            samples=tuple(
                replace(sample, images=(tiny.PlainPicture((place % ROWS, 0, 0), []),))
                for place, sample in enumerate(split.samples)
            ),
        )
        for split in splits
        if split.task.answer != "read"
    ]


def reference(loaded: LoadedModel, split: TaskSplit, removals: Sequence[Removal]) -> Evaluation:
    """Return the answers that are right."""
    return ReferenceEvaluator(loaded, batch_size=3).evaluate(split, removals)


def compare(
    loaded: LoadedModel,
    splits: Sequence[TaskSplit],
    removals: Sequence[Removal],
    expected: Sequence[Evaluation],
) -> tuple[str, str]:
    """Return how much was shared, and what was said; raises AssertionError for a wrong answer."""
    evaluator = SharedEvaluator(loaded, batch_size=3, self_check=False)
    asked = 0
    with warnings_said() as said:
        for split, right in zip(splits, expected, strict=True):
            # The second time there are drafts and kept states.
            for _ in range(2):
                assert_same(evaluator.evaluate(split, removals), right)
                asked += len(removals)
    assert len(said) == len(set(said)), f"said more than once: {said}"
    alone = evaluator.statistics.fallbacks
    assert bool(alone) == bool(said), f"{alone} evaluations fell back, said: {said}"
    status = SHARED if not alone else FELL_BACK if alone == asked else PARTLY
    return status, "; ".join(message.partition(": ")[2] for message in said)
