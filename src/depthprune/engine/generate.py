"""Answers that are generated: plain greedy decoding with `generate`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from depthprune.base.prompting import USUAL_PROMPTS, PromptSettings
from depthprune.engine.chat import end_of_turn, tokenizer_of
from depthprune.engine.inputs import Inputs, Row, prompt_of, tokenize
from depthprune.tasks.task import CutAnswer, Sample, Task

LOOK_BACK = 2
"""Tokens looked at beyond those of a stop text: its letters may come in other tokens than its own
(`MultiTokenEOSCriteria` of the lm-evaluation-harness)."""


REMEMBERED_ENDS = 2**16
"""Short sequences of tokens of which it is remembered whether a stop text ends them."""


class StopTexts:
    """Texts that end an answer as soon as they were written."""

    def __init__(self, tokenizer: Any, texts: Sequence[str]) -> None:
        """Take the texts; an empty one ends nothing."""
        self.texts = tuple(filter(None, texts))
        self._longest: list[tuple[str, int]] = [
            (text, len(tokenizer.encode(text, add_special_tokens=False)) + LOOK_BACK)
            for text in self.texts
        ]
        self._decode = lru_cache(REMEMBERED_ENDS)(tokenizer.decode)

    def end(self, tokens: Sequence[int]) -> bool:
        """Return whether the last tokens of an answer hold one of the texts."""
        return any(text in self._decode(tuple(tokens[-last:])) for text, last in self._longest)

    def cut(self, text: str) -> str:
        """Return an answer up to the first of the texts."""
        for stop in self.texts:
            text = text.split(stop)[0]
        return text


@dataclass(frozen=True)
class AnswerEnd:
    """When an answer ends, and what text its tokens are.

    Attributes:
        tokenizer: the model's.
        ends: tokens that end it.
        longest: how many tokens it has at most.
        stops: texts that end it and are no part of it; None where blanks around it are no part
            of it, and an answer that reached its length is marked (`decode`).
    """

    tokenizer: Any
    ends: tuple[int, ...]
    longest: int
    stops: StopTexts | None = None

    def ended(self, answer: Sequence[int]) -> bool:
        """Return whether an answer ends with its last token; it did not before."""
        return (
            answer[-1] in self.ends
            or len(answer) == self.longest
            or (self.stops is not None and self.stops.end(answer))
        )

    def text(self, answer: Sequence[int]) -> str:
        """Return the text of an answer that has ended."""
        if self.stops is None:
            return decode(self.tokenizer, answer, self.ends)
        return self.stops.cut(self.tokenizer.decode(answer, skip_special_tokens=True))


class StopAtTexts:
    """A stopping criterion for `generate`: a row is done when it has written one of the texts.

    Attributes:
        ends: for each row, after how many new tokens a text appeared; None where none has.
    """

    def __init__(self, stops: StopTexts, start: int) -> None:
        """Take the stop texts, and the length of the prompts."""
        self.ends: list[int | None] = []
        self._stops = stops
        self._start = start

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """Return which rows are done, bool of shape (rows,)."""
        import torch

        written = input_ids[:, self._start :].tolist()
        self.ends = self.ends or [None] * len(written)
        for place, tokens in enumerate(written):
            if self.ends[place] is None and self._stops.end(tokens):
                self.ends[place] = len(tokens)
        return torch.tensor([end is not None for end in self.ends], device=input_ids.device)


def rows_to_generate(
    processor: Any, task: Task, samples: Sequence[Sample], settings: PromptSettings = USUAL_PROMPTS
) -> list[Row]:
    """Return one row per sample: its prompt."""
    rows = []
    for index, sample in enumerate(samples):
        prompt = prompt_of(processor, task, sample, settings)
        tokens = tokenize(processor, prompt.text, add_special_tokens=prompt.add_special_tokens)
        rows.append(Row(index, sample, prompt.text, tokens, prompt.add_special_tokens))
    return rows


def generate(
    processor: Any, max_new_tokens: int, model: Any, inputs: Inputs, rows: Sequence[Row]
) -> list[str]:
    """Return the greedy continuation of every row of a left-padded batch, as stripped text.

    Every token is the likeliest one; a row ends with the end token or after `max_new_tokens`. What
    the checkpoint's generation configuration says about sampling, penalties and lengths is
    ignored: only its special tokens count.
    """
    tokenizer = tokenizer_of(processor)
    ends = end_tokens(model, processor)
    with greedily(model, tokenizer, ends, max_new_tokens) as config:
        tokens = model.generate(**inputs, generation_config=config)
    return [
        decode(tokenizer, row, ends) for row in tokens[:, inputs["input_ids"].shape[1] :].tolist()
    ]


def only_text(sample: Sample, outcomes: Sequence[tuple[Row, str]]) -> str:
    """Return the answer to a sample that has one row: what the model wrote after it."""
    ((_, text),) = outcomes
    return text


def decode(tokenizer: Any, tokens: Sequence[int], ends: Sequence[int]) -> str:
    """Return new tokens up to the first end token as text, without special tokens, stripped.

    Without an end token they are all that was allowed: a `CutAnswer`.
    """
    stop = next((place for place, token in enumerate(tokens) if token in ends), None)
    text: str = tokenizer.decode(tokens[:stop], skip_special_tokens=True).strip()
    return CutAnswer(text) if stop is None else text


def end_tokens(model: Any, processor: Any) -> tuple[int, ...]:
    """Return the tokens that end an answer, smallest first: all that anything names as such.

    That are those of the checkpoint's generation configuration, the tokenizer's end token, and what
    its chat template writes after an answer.
    """
    tokenizer = tokenizer_of(processor)
    own = (tokenizer.eos_token_id, getattr(tokenizer, "eot_token_id", None))
    named = {token for token in own if isinstance(token, int)}
    return tuple(sorted({*checkpoint_ends(model, tokenizer), *named, *end_of_turn(processor)}))


def checkpoint_ends(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return the end tokens of the checkpoint's generation configuration, else the tokenizer's."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        ends = tokenizer.eos_token_id
    if ends is None:
        return ()
    return tuple(ends) if isinstance(ends, list | tuple) else (ends,)


@contextmanager
def greedily(model: Any, tokenizer: Any, ends: Sequence[int], max_new_tokens: int) -> Iterator[Any]:
    """Give the model a generation configuration that is nothing but greedy.

    Passing one to `generate` is not enough: fields that it leaves open are filled in from the
    model's own, where a repetition penalty or a minimal length may wait.
    """
    from transformers import GenerationConfig

    fill = next((token for token in (tokenizer.pad_token_id, *ends) if token is not None), 0)
    before = model.generation_config
    config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=max_new_tokens,
        use_cache=True,
        eos_token_id=list(ends) or None,
        pad_token_id=fill,
        bos_token_id=before.bos_token_id,
    )
    model.generation_config = config
    try:
        yield config
    finally:
        model.generation_config = before
