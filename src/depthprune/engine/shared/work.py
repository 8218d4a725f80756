"""What a shared evaluation did, counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Statistics:
    """What a `SharedEvaluator` has done since it was made.

    Attributes:
        block_calls: calls of blocks; those for keys and values alone are left out.
        block_tokens: rows times length over these calls, padding included.
        nodes: hidden states of batches that blocks led to, in first passes.
        nodes_known: those that had not to be computed again, because they were kept.
        real_tokens: tokens of prompts and drafts that went into the first block of a walk.
        padding_tokens: padding that went with them.
        drafts_offered: answers (of one sample without some blocks) that began with a draft.
        drafts_accepted: those of them that the draft foretold completely.
        answers: all answers that were generated.
        decoded: answers that needed more than the first pass.
        rounds: passes over unfinished answers.
        peak_states: hidden states of a batch held at a time, at most.
        stems: batches whose inputs went through vision tower and embeddings.
        fallbacks: removals that were evaluated by the reference, a split each.
    """

    block_calls: int = 0
    block_tokens: int = 0
    nodes: int = 0
    nodes_known: int = 0
    real_tokens: int = 0
    padding_tokens: int = 0
    drafts_offered: int = 0
    drafts_accepted: int = 0
    answers: int = 0
    decoded: int = 0
    rounds: int = 0
    peak_states: int = 0
    stems: int = 0
    fallbacks: int = 0


class Work:
    """Counts what is done."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, **counts: int) -> None:
        """Add to some of the counts of `Statistics`."""
        for name, count in counts.items():
            self._counts[name] = self._counts.get(name, 0) + count

    def at_least(self, name: str, count: int) -> None:
        """Raise a count that is a maximum."""
        self._counts[name] = max(self._counts.get(name, 0), count)

    @property
    def statistics(self) -> Statistics:
        """The counts as they are now."""
        return Statistics(**self._counts)
