"""VQA accuracy: how many of the annotators an answer agrees with, three being enough."""

from __future__ import annotations

from depthprune.tasks.metrics.normalise import normalise_answer
from depthprune.tasks.metrics.rules import scores_by
from depthprune.tasks.task import Sample, Scorer

ENOUGH = 3


@scores_by("vqa_accuracy")
class VqaAccuracy(Scorer):
    """The official VQA v2 accuracy.

    Each annotator is left out once, and the answer earns min(1, agreeing others / 3); the score is
    the mean. With fewer than four annotators the 3 becomes the number of the others, so that
    agreeing with everybody scores 1; one annotator alone is matched exactly.

    References and answer are normalised alike (`normalise_answer`). The official script leaves
    articles and number words in the references, because the published VQA v2 annotations are free
    of them; other datasets' references are not.

    Source: VQAEval.evaluate of github.com/GT-Vision-Lab/VQA; https://visualqa.org/evaluation.html.
    """

    name = "vqa_accuracy"

    def score(self, sample: Sample, answer: str) -> float:
        """Return the accuracy of `answer`, 0..1."""
        given = normalise_answer(answer)
        agrees = [normalise_answer(reference) == given for reference in sample.references]
        if len(agrees) == 1:
            return float(agrees[0])
        enough = min(ENOUGH, len(agrees) - 1)
        matches = sum(agrees)
        return sum(min(1.0, (matches - own) / enough) for own in agrees) / len(agrees)
