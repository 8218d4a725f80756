"""Scores of written answers against references: exact match, VQA accuracy, ANLS."""

from __future__ import annotations

from depthprune.tasks.metrics import scores_by
from depthprune.tasks.metrics.words import Tokens, compared, normalise_answer
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


@scores_by("anls")
class Anls(Scorer):
    """Average normalised Levenshtein similarity.

    The score is the best 1 - edits / length of the longer over the references, or 0 below the
    threshold. Case and surplus blanks do not count.

    Source: Biten et al., Scene Text Visual Question Answering, ICCV 2019, equation 1; at exactly
    the threshold it follows the evaluation script of the ST-VQA and DocVQA challenges, which
    counts the answer.
    """

    name = "anls"

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def score(self, sample: Sample, answer: str) -> float:
        """Return the similarity of `answer` to the nearest reference, 0..1."""
        given = _plain(answer)
        best = max((_similarity(_plain(r), given) for r in sample.references), default=0.0)
        return best if best >= self.threshold else 0.0


def edit_distance(first: str, second: str) -> int:
    """Return the least number of inserted, deleted or replaced characters (Levenshtein)."""
    distances = list(range(len(second) + 1))
    for row, left in enumerate(first, start=1):
        diagonal, distances[0] = distances[0], row
        for column, right in enumerate(second, start=1):
            diagonal, distances[column] = (
                distances[column],
                min(distances[column] + 1, distances[column - 1] + 1, diagonal + (left != right)),
            )
    return distances[-1]


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _similarity(reference: str, answer: str) -> float:
    longer = max(len(reference), len(answer))
    return 1 - edit_distance(reference, answer) / longer if longer else 1.0
