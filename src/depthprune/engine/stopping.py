"""Stop to write where a given text appears, each row of a batch for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

LOOK_BACK = 2
"""Tokens looked at beyond those of a stop text: its letters may come in other tokens than its own
(`MultiTokenEOSCriteria` of the lm-evaluation-harness)."""


class StopAtTexts:
    """A stopping criterion for `generate`: a row is done when it has written one of the texts.

    Attributes:
        ends: for each row, after how many new tokens a text appeared; None where none has.
    """

    def __init__(self, tokenizer: Any, texts: Sequence[str], start: int) -> None:
        """Take the stop texts, and the length of the prompts."""
        self.ends: list[int | None] = []
        self._tokenizer = tokenizer
        self._start = start
        self._texts = [
            (text, len(tokenizer.encode(text, add_special_tokens=False)) + LOOK_BACK)
            for text in texts
        ]

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """Return which rows are done, bool of shape (rows,)."""
        import torch

        written = input_ids[:, self._start :].tolist()
        self.ends = self.ends or [None] * len(written)
        for place, tokens in enumerate(written):
            if self.ends[place] is None and self._has_stopped(tokens):
                self.ends[place] = len(tokens)
        return torch.tensor([end is not None for end in self.ends], device=input_ids.device)

    def _has_stopped(self, tokens: list[int]) -> bool:
        return any(text in self._tokenizer.decode(tokens[-last:]) for text, last in self._texts)
