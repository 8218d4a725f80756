"""ANLS: how nearly an answer spells one of the references, for text read from pictures."""

from __future__ import annotations

from depthprune.tasks.metrics.rules import scores_by
from depthprune.tasks.task import Sample, Scorer


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
