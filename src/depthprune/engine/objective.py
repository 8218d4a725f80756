"""The loss over the options: what ranks removals with less noise than right or wrong does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import inf, log

import numpy as np
from numpy.typing import NDArray

from depthprune.engine.likelihood import LETTERS
from depthprune.tasks.metrics.likelihood import parse_responses
from depthprune.tasks.task import ChosenOption, Sample, TaskSplit

LEAST = 1e-9
"""The smallest probability of being right; a model that overflows predicts nothing at all."""

DIGITS = 4
"""Decimals of a loss that are kept."""

UNLIKELY = -1e9
"""A log-likelihood that no text has."""


class OptionLosses:
    """Computes losses; remembers what each option of a sample scores."""

    def __init__(self) -> None:
        self._scores: list[tuple[TaskSplit, list[NDArray[np.float64]]]] = []

    def of(self, split: TaskSplit, answers: Sequence[str]) -> NDArray[np.float32] | None:
        """Return the loss of each sample, shape (N,); None where no options are compared.

        The options get probabilities by their loss per byte (softmax); what a choice by these
        scores on average is the probability of being right. The loss is its negative logarithm, as
        a multiple of that of a blind guess. So a small preference for the wrong option costs little
        more than one for the right, where accuracy tells 0 from 1.

        Args:
            split: that was answered.
            answers: one for each of its samples.
        """
        options = [
            _losses(sample, answer) for sample, answer in zip(split.samples, answers, strict=True)
        ]
        if any(one is None for one in options):
            return None
        given = zip(options, self._scores_of(split), strict=True)
        losses = [_loss(np.array(one), scores) for one, scores in given]
        # Further digits depend on the batch that a sample was part of.
        return np.array(losses, dtype=np.float32).round(DIGITS)

    def _scores_of(self, split: TaskSplit) -> list[NDArray[np.float64]]:
        """Return what each option of every sample scores, if it is chosen."""
        # By identity, as evaluators do: a fingerprint would do as well.
        known = next((scores for one, scores in self._scores if one is split), None)
        if known is None:
            known = []
            for sample in split.samples:
                answers = _choices(sample)
                scores = split.scorer.score_many([sample] * len(answers), answers)
                known.append(np.array(scores, dtype=np.float64))
            self._scores.append((split, known))
        return known


def _losses(sample: Sample, answer: str) -> Sequence[float] | None:
    """Return the loss of every option in nats per byte; None where none are compared."""
    if isinstance(answer, ChosenOption):
        return answer.losses or None
    requests = sample.requests
    continuations = {one.continuation for one in requests}
    contexts = {one.context for one in requests}
    # Options differ in what follows one context, or in the context (a sentence with a gap filled).
    if (
        any(one.kind != "loglikelihood" for one in requests)
        or not 1 < max(len(continuations), len(contexts)) == len(requests)
        or min(len(continuations), len(contexts)) > 1
    ):
        return None
    found = parse_responses(sample, answer)
    return [
        -likelihood / len(one.continuation.encode())
        for one, (likelihood, _) in zip(requests, found, strict=True)
    ]


def _choices(sample: Sample) -> list[str]:
    """Return for each option of a sample the answer that chooses it."""
    if not sample.requests:
        return list(LETTERS[: len(sample.choices)])
    places = range(len(sample.requests))
    return [
        json.dumps([[0.0 if place == one else UNLIKELY, place == one] for place in places])
        for one in places
    ]


def _loss(losses: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    if len(losses) < 2:
        return 0.0
    if losses.min() == inf:
        return -log(LEAST) / log(len(losses))
    chances = np.exp(losses.min() - losses)
    return -log(max(LEAST, float(chances @ scores / chances.sum()))) / log(len(losses))
