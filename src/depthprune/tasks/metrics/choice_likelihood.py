"""Multiple choice by likelihood: the model is given no chance to chat."""

from __future__ import annotations

from depthprune.tasks.metrics.rules import scores_by
from depthprune.tasks.task import Sample, Scorer


@scores_by("choice_likelihood", "choose")
class ChoiceLikelihood(Scorer):
    """1 when the likeliest option is the right one, else 0 (answer mode `choose`)."""

    name = "choice_likelihood"

    def score(self, sample: Sample, answer: str) -> float:
        """Return 1.0 or 0.0; `answer` is the letter of the option that the model chose."""
        return float(answer.strip().upper() in sample.references)
