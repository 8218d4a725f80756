"""Answers that are known already, as drafts for those of other removals to the same sample.

A draft is only ever a guess of what comes next: the model's own choice decides, token by token.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

Tokens = tuple[int, ...]


class KnownAnswers:
    """The answers to each sample of a split, and how often they were given.

    An answer is all that was generated: its end token too, where it has one.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, Tokens], int] = {}
        # For each sample and each beginning of its answers, the most frequent of them.
        self._best: dict[tuple[str, Tokens], Tokens] = {}

    def add(self, sample: str, answer: Sequence[int]) -> None:
        """Note an answer to a sample."""
        tokens = tuple(answer)
        count = self._counts.get((sample, tokens), 0) + 1
        self._counts[sample, tokens] = count
        for end in range(len(tokens)):
            start = sample, tokens[:end]
            best = self._best.get(start)
            if best is None or count > self._counts[sample, best]:
                self._best[start] = tokens

    def draft(self, sample: str, begun: Sequence[int] = ()) -> Tokens:
        """Return what to read after `begun`: the most frequent answer that begins so.

        Its last token is left out, because nothing needs to be foretold from it.
        """
        best = self._best.get((sample, tuple(begun)), ())
        return best[len(begun) : -1]


def accept(
    begun: Sequence[int],
    draft: Sequence[int],
    foretold: Sequence[int],
    ends: Collection[int],
    longest: int,
) -> tuple[list[int], bool]:
    """Return the answer as far as it is certain now, and whether that is all of it.

    Args:
        begun: the tokens that were certain before.
        draft: what was read after them.
        foretold: the likeliest token after `begun`, and after each token of the draft.
        ends: tokens that end an answer.
        longest: how many tokens an answer has at most.
    """
    answer = list(begun)
    for place, token in enumerate(foretold[: len(draft) + 1]):
        answer.append(token)
        if token in ends or len(answer) == longest:
            return answer, True
        if place == len(draft) or draft[place] != token:
            break
    return answer, False
