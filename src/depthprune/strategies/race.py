"""Racing: which candidates are not among the best, found before all samples are seen.

Candidates are scored on the samples of a fixed set in a random order. For every pair (i, j) a bet
is kept on "j is better than i on all samples": a wealth that starts at 1, is multiplied at each
sample by 1 + bet * (difference - mean of the remaining differences if i were as good as j), and
cannot become negative. If i is as good as j, the wealth does not grow on average, and so it ever
exceeds 1 / p with a chance of p at most, however often one looks (Ville's inequality). It is the
mean over several sizes of bets; those that suit the differences take over by themselves.

A candidate among the `width` best has at most `width - 1` rivals that are better. So with those
`width - 1` rivals left out that speak most against it, the mean wealth of the others is at most a
mean over rivals that are not better, which is such a wealth, too, whoever leads at the moment.
The candidate is stopped when that mean reaches width / level: each of the `width` best is stopped
with a chance of level / width at most, and one of them with a chance of level.

The samples are finite, drawn without replacement: what was lost so far must be made up on those
that remain. Where that is impossible, the wealth is infinite: the exact rule "cannot catch up".

Source: Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, JRSS B
2024, section 5 (sampling without replacement). Leaving out the `width - 1` largest and thereby
not depending on a target that changes is our own step; `benchmarks/racing.py` measures all of it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from depthprune.base.errors import DepthpruneError
from depthprune.base.options import Options
from depthprune.base.removal import DECIMALS

BETS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
"""As parts of the largest bet that cannot lose everything."""

SALT = 0x52414345
"""Lets the order of a race differ from the draw that chose its samples by the same seed."""

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class RaceRule(Options):
    """When a candidate leaves a race.

    Attributes:
        width: how many of the best must stay.
        level: the chance, at most, that one of them does not.
        span: the largest possible difference between two scores of one sample.

    Raises:
        DepthpruneError: a number is out of range.
    """

    width: Annotated[int, Ge(1)]
    level: Annotated[float, Gt(0), Lt(1)]
    span: Annotated[float, Gt(0)] = 1.0


class Race:
    """Candidates that are scored chunk by chunk, and leave when they are certainly not the best.

    Attributes:
        running: indices of the candidates that are still scored, ascending.
        seen: samples so far.
    """

    def __init__(
        self,
        num_candidates: int,
        num_samples: int,
        rule: RaceRule,
        complete: Collection[int] = (),
    ) -> None:
        """Begin a race.

        Args:
            num_candidates: K.
            num_samples: of each candidate, in all.
            rule: when a candidate leaves.
            complete: candidates whose scores are known anyway: they never leave.
        """
        self.running = tuple(range(num_candidates))
        self.seen = 0
        self._rule = rule
        self._num_samples = num_samples
        self._complete = frozenset(complete)
        # [i, j] is about "j is better than i".
        self._ahead = np.zeros((num_candidates, num_candidates))
        self._lost = np.zeros((num_candidates, num_candidates), dtype=bool)
        self._wealth = np.zeros((num_candidates, num_candidates, len(BETS)))

    def observe(self, scores: Scores) -> tuple[int, ...]:
        """Take the scores of the next samples; return the candidates that leave after them.

        Args:
            scores: of shape (len(running), samples), in the order of `running`.

        Raises:
            DepthpruneError: the shape does not fit, or a score is not finite.
        """
        remaining = self._num_samples - self.seen
        if scores.ndim != 2 or len(scores) != len(self.running) or scores.shape[1] > remaining:
            raise DepthpruneError(
                f"scores of shape {scores.shape} for {len(self.running)} candidates, of which "
                f"{remaining} samples remain"
            )
        if not np.isfinite(scores).all():
            raise DepthpruneError("a score in a race is not a finite number")
        self._bet(scores.astype(np.float64))
        if self.seen == self._num_samples:
            return ()
        leaving = self._leaving()
        self.running = tuple(one for one in self.running if one not in leaving)
        return leaving

    def _bet(self, scores: Scores) -> None:
        """Bet on every pair of running candidates, sample by sample."""
        # Of a candidate that left nothing more is seen: its pairs stay as they are.
        pairs = np.ix_(self.running, self.running)
        ahead, lost, wealth = self._ahead[pairs], self._lost[pairs], self._wealth[pairs]
        bets = np.array(BETS)
        # Means that differ by rounding noise alone count as equal.
        margin = self._num_samples * 10.0**-DECIMALS
        span = self._rule.span
        for column in scores.T:
            remaining = self._num_samples - self.seen
            difference = column[np.newaxis, :] - column[:, np.newaxis]
            expected = (margin - ahead) / remaining
            room = span + expected
            lost |= room <= 0
            gain = bets * ((difference - expected) / np.where(lost, 1.0, room))[..., np.newaxis]
            # Only of a pair that is decided, or by rounding, can a loss be larger than the bet.
            wealth += np.log1p(np.maximum(gain, -max(BETS)))
            ahead += difference
            self.seen += 1
        lost |= ahead - margin > span * (self._num_samples - self.seen)
        self._ahead[pairs], self._lost[pairs], self._wealth[pairs] = ahead, lost, wealth

    def _leaving(self) -> tuple[int, ...]:
        width = self._rule.width
        spare = len(self.running) - width
        if spare <= 0:
            return ()
        running = list(self.running)
        against = _evidence(self._wealth[running], self._lost[running])
        # Never against itself: infinity goes with the `width - 1` largest.
        against[np.arange(len(running)), running] = np.inf
        mean = np.sort(against, axis=1)[:, :-width].mean(axis=1)
        certain = [
            (-value, one)
            for value, one in zip(mean.tolist(), running, strict=True)
            if value >= width / self._rule.level and one not in self._complete
        ]
        return tuple(sorted(one for _, one in sorted(certain)[:spare]))


def race_order(num_samples: int, seed: int) -> NDArray[np.int64]:
    """Return the random order in which a race sees the samples: places in their own order."""
    # RandomState's stream is frozen for ever (NEP 19), a Generator's is not.
    return np.random.RandomState([seed % 2**32, SALT]).permutation(num_samples)


def race(
    scores: Scores, rule: RaceRule, chunk: int, complete: Collection[int] = ()
) -> NDArray[np.int64]:
    """Return after how many samples each candidate leaves; all samples where it does not.

    Args:
        scores: of shape (candidates, samples), the samples in the order of the race.
        rule: when a candidate leaves.
        chunk: samples between two looks.
        complete: candidates that never leave.

    Raises:
        DepthpruneError: a score is not finite.
    """
    num_candidates, num_samples = scores.shape
    seen = np.full(num_candidates, num_samples)
    running = Race(num_candidates, num_samples, rule, complete)
    for start in range(0, num_samples, chunk):
        stop = min(start + chunk, num_samples)
        leaving = running.observe(scores[list(running.running), start:stop])
        seen[list(leaving)] = stop
    return seen


def _evidence(wealth: NDArray[np.float64], lost: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean wealth of each pair over the sizes of bets; infinite where it is decided."""
    with np.errstate(over="ignore"):
        mean: NDArray[np.float64] = np.exp(wealth).mean(axis=-1)
    return np.where(lost, np.inf, mean)
