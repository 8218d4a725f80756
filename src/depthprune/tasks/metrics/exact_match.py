"""Exact match: the answer is one of the references."""

from __future__ import annotations

from depthprune.tasks.metrics.plain_text import Tokens, compared
from depthprune.tasks.metrics.rules import scores_by
from depthprune.tasks.task import Sample, Scorer


@scores_by("exact_match", version=2)
class ExactMatch(Scorer):
    """1 when the answer equals a reference, else 0.

    By default both are compared by their words, numbers and signs (`compared`): `"Two."` equals
    `"2"`, `"1,000"` equals `"1000.0"`, `"-5"` is not `"5"`. With `normalised: false` only blanks
    at the ends are ignored. An answer of which nothing is left matches nothing.
    """

    name = "exact_match"

    def __init__(self, normalised: bool = True) -> None:
        self.normalised = normalised

    def score(self, sample: Sample, answer: str) -> float:
        """Return 1.0 or 0.0."""
        given = self._prepare(answer)
        return float(bool(given) and any(self._prepare(r) == given for r in sample.references))

    def _prepare(self, text: str) -> Tokens | str:
        return compared(text) if self.normalised else text.strip()
