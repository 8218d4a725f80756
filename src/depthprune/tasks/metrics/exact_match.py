"""Exact match: the answer is one of the references."""

from __future__ import annotations

from depthprune.tasks.metrics.normalise import normalise_answer
from depthprune.tasks.task import Sample, Scorer


class ExactMatch(Scorer):
    """1 when the answer equals a reference, else 0.

    By default both are normalised as in VQA (case, articles, punctuation, number words: `"Two."`
    equals `"2"`); with `normalised: false` only blanks at the ends are ignored.
    """

    name = "exact_match"

    def __init__(self, normalised: bool = True) -> None:
        self.normalised = normalised

    def score(self, sample: Sample, answer: str) -> float:
        """Return 1.0 or 0.0."""
        given = self._prepare(answer)
        return float(any(self._prepare(reference) == given for reference in sample.references))

    def _prepare(self, text: str) -> str:
        return normalise_answer(text) if self.normalised else text.strip()
