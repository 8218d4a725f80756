"""Whether the whole model's answers to a task are any basis for drops.

A model that answers nothing, or always the same, or no better than a guess, loses nothing without a
block: every drop would be 0, and every removal look harmless.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from depthprune.base.language import Note
from depthprune.base.terminal import shown
from depthprune.tasks.task import AnswerMode, TaskSplit

CHANCE = "chance"
"""Where `Run.how` of a study keeps `chances`."""

FEW = 20
"""With fewer samples any of this may be an accident: a warning, no reason to stop."""

ENOUGH = 50
"""With so many samples, an accuracy that cannot be told from guessing says something."""

MOST_EMPTY = 0.5
MOST_ALIKE = 0.9
LEAST_RIGHT = 0.7
"""The share of samples of which one answer must be right to be given to more than `MOST_ALIKE`."""

Reason = Literal["empty", "one answer", "zero", "not finite", "below chance", "at chance"]

SENTENCES: Mapping[Reason, str] = {
    "empty": "{share} of the {n} {n:answer|answers} are empty",
    "one answer": (
        "{share} of the {n} {n:answer|answers} are {answer}, which is right in {right} of them"
    ),
    "zero": "the score is 0 ({n} {n:sample|samples})",
    "not finite": ("the likelihoods of {share} of the {n} {n:sample|samples} are not finite"),
    "below chance": (
        "{accuracy} of the {n} {n:answer|answers} are right (95% interval {low} to "
        "{high}), fewer than by guessing ({chance})"
    ),
    "at chance": (
        "{accuracy} of the {n} {n:answer|answers} are right (95% interval {low} to "
        "{high}), which cannot be told from guessing ({chance})"
    ),
}
"""What is said about each reason; `Weakness.values` fill it."""

UNKNOWN = "?"
"""A number of samples that no file tells."""


@dataclass(frozen=True)
class Baseline:
    """The whole model on one split, as far as it is known.

    Attributes:
        metric: the name of the scorer.
        accuracy: the mean score; NaN when unknown.
        num_samples: 0 when unknown.
        scores: shape (num_samples,); None when unknown.
        answers: behind them; None when unknown.
        mode: how the model answers; None when unknown: then the answers tell.
        chance: the accuracy of guessing among options; None when unknown or there are none.
    """

    metric: str
    accuracy: float
    num_samples: int = 0
    scores: NDArray[np.float32] | None = field(default=None, compare=False)
    answers: Sequence[str] | None = None
    mode: AnswerMode | None = None
    chance: float | None = None


@dataclass(frozen=True)
class Weakness:
    """Why the drops from a baseline would say nothing.

    Attributes:
        reason: the rule that it breaks.
        num_samples: that it was measured on; 0 when unknown.
        values: numbers and texts for the sentence about it.
    """

    reason: Reason
    num_samples: int
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_certain(self) -> bool:
        """Whether there are samples enough to stop for it."""
        return not 0 < self.num_samples < FEW

    @property
    def note(self) -> Note:
        """Why, as a clause with its numbers."""
        return Note(SENTENCES[self.reason], **self.values)

    def __str__(self) -> str:
        return str(self.note)


@dataclass(frozen=True)
class WeakBaseline:
    """A task on which the drops of a model would say nothing.

    Attributes:
        task: its name.
        split: that was measured.
        weakness: why.
    """

    task: str
    split: str
    weakness: Weakness


def find_weakness(baseline: Baseline) -> Weakness | None:
    """Return why a baseline is no basis for drops, or None: the one rule of searches and reports.

    - Texts: more than half of them are empty and wrong; or one of them makes up more than 90 %
      while it is right in fewer than 70 %; or the score is 0.
    - Options: the 95 % interval of the accuracy (Wilson) lies below chance, or holds it with 50
      samples or more. Texts that name an option are judged as texts too.
    - Likelihoods, captions and whatever else is not scored from 0 to 1: the score is 0, or a
      likelihood is not finite.

    With fewer than 20 samples it is not certain.
    """
    about = _Answers.of(baseline)
    if not isfinite(baseline.accuracy):
        # Files that state drops alone say nothing about the baseline.
        return None if baseline.scores is None else _weak(baseline, "not finite", share=1.0)
    found = _by_texts(baseline, about.texts) if about.texts else None
    if found is None and about.chance is not None:
        found = _by_chance(baseline, about.chance)
    if found is None and about.overflowed:
        found = _weak(baseline, "not finite", share=about.overflowed)
    # Of a few among many options none may be right.
    is_choice = about.chance is not None and not about.texts
    if found is None and baseline.accuracy == 0 and not is_choice:
        found = _weak(baseline, "zero")
    return found


def baseline_of(split: TaskSplit, scores: NDArray[np.float32], answers: Sequence[str]) -> Baseline:
    """Return what is known of the whole model that was measured on a split."""
    return Baseline(
        metric=split.scorer.name,
        accuracy=float(scores.astype(np.float64).mean()),
        num_samples=len(scores),
        scores=scores,
        answers=answers,
        mode=split.task.answer,
        chance=chance_of(split),
    )


def chance_of(split: TaskSplit) -> float | None:
    """Return the mean of 1 / number of options; None where answers are not one of some options.

    An open question among multiple choice has no options, and cannot be guessed.
    """
    task = split.task
    named = split.scorer.name.startswith("choice_letter") or "{choices}" in task.prompt
    if task.answer == "choose" or (task.answer == "generate" and named):
        return _mean_chance([len(sample.choices) for sample in split.samples])
    return None


def chances(splits: Sequence[TaskSplit]) -> dict[str, float]:
    """Return the chance of each split that has one, by fingerprint: what a study keeps of it."""
    found = {split.fingerprint: chance_of(split) for split in splits}
    return {fingerprint: chance for fingerprint, chance in found.items() if chance is not None}


def _mean_chance(counts: Sequence[int]) -> float | None:
    if not any(counts):
        return None
    return sum(1 / count for count in counts if count) / len(counts)


@dataclass(frozen=True)
class _Answers:
    """What the answers are, as the rule needs to know it.

    Attributes:
        texts: that were written and are scored from 0 to 1; empty where there are none.
        chance: of guessing, where each answer is right or wrong.
        overflowed: the share of samples with a likelihood that is not finite.
    """

    texts: Sequence[str] = ()
    chance: float | None = None
    overflowed: float = 0.0

    @classmethod
    def of(cls, baseline: Baseline) -> _Answers:
        scores, answers = baseline.scores, baseline.answers
        in_range = scores is None or bool(((scores >= 0) & (scores <= 1)).all())
        if baseline.metric.startswith("cider_d") or not in_range:
            return cls()
        right_or_wrong = scores is not None and bool(np.isin(scores, (0, 1)).all())
        chance = baseline.chance if right_or_wrong else None
        if not answers:
            return cls(chance=chance)
        parsed = _parsed(answers) if baseline.mode in (None, "read", "respond") else None
        texts = written(answers, baseline.metric, baseline.mode)
        if parsed is None:
            return cls(texts=texts or (), chance=chance)
        if texts is not None:
            return cls(texts=texts)
        options = [_num_options(one) for one in parsed]
        if min(options) > 1:
            return cls(chance=_mean_chance(options) if right_or_wrong else None)
        return cls(overflowed=sum(map(_overflowed, parsed)) / len(parsed))


def written(
    answers: Sequence[str], metric: str, mode: AnswerMode | None = None
) -> Sequence[str] | None:
    """Return answers as the texts that a model wrote; None where it was asked for likelihoods.

    Args:
        answers: as they are stored.
        metric: the name of the scorer.
        mode: how they were given; None when unknown: then the answers tell.
    """
    parsed = _parsed(answers) if mode in (None, "read", "respond") else None
    if parsed is None:
        return None if mode == "choose" or metric.startswith("choice_likelihood") else answers
    if all(isinstance(one, list) and all(isinstance(x, str) for x in one) for one in parsed):
        return ["\n".join(one) for one in parsed]
    return None


def _parsed(answers: Sequence[str]) -> list[Any] | None:
    """Return the answers of the modes `read` and `respond`; None where they are mere texts."""
    try:
        parsed = [json.loads(answer) for answer in answers]
    except ValueError:
        return None
    is_reading = all(isinstance(one, dict) and "nll" in one for one in parsed)
    return parsed if is_reading or all(isinstance(one, list) and one for one in parsed) else None


def _num_options(responses: Any) -> int:
    """Return how many continuations competed; 0 where a text was read."""
    pairs = isinstance(responses, list) and all(isinstance(one, list) for one in responses)
    return len(responses) if pairs else 0


def _overflowed(parsed: Any) -> bool:
    values: list[Any] = [parsed["nll"]] if isinstance(parsed, dict) else parsed
    likelihoods = [one[0] if isinstance(one, list) and one else one for one in values]
    return any(
        one is None or (isinstance(one, int | float) and not isfinite(one)) for one in likelihoods
    )


def _by_texts(baseline: Baseline, texts: Sequence[str]) -> Weakness | None:
    seen = [_visible(text) for text in texts]
    scores = None if baseline.scores is None else baseline.scores.astype(np.float64)
    empty = np.array([not text for text in seen])
    if scores is not None:
        if empty.all() and scores.any():
            return None  # what earned something was not kept beside the scores
        # A question without an answer is answered rightly by none.
        empty &= scores == 0
    if empty.mean() > MOST_EMPTY:
        return _weak(baseline, "empty", share=float(empty.mean()))
    (answer, times), *_ = Counter(seen).most_common(1)
    share = times / len(seen)
    if scores is not None and answer and share > MOST_ALIKE:
        right = float(scores[[text == answer for text in seen]].mean())
        if right < LEAST_RIGHT:
            return _weak(baseline, "one answer", share=share, right=right, answer=shown(answer, 60))
    return None


def _by_chance(baseline: Baseline, chance: float) -> Weakness | None:
    low, high = wilson(baseline.accuracy, baseline.num_samples)
    below, holds = high < chance, low <= chance <= high
    if not (below or (holds and baseline.num_samples >= ENOUGH)):
        return None
    reason: Reason = "below chance" if below else "at chance"
    accuracy = baseline.accuracy
    return _weak(baseline, reason, accuracy=accuracy, low=low, high=high, chance=chance)


def wilson(accuracy: float, num_samples: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the score interval of a share of n samples, of 95 % by default (Wilson, 1927)."""
    shrunk = 1 + z * z / num_samples
    middle = accuracy + z * z / (2 * num_samples)
    spread = z * sqrt(
        accuracy * (1 - accuracy) / num_samples + z * z / (4 * num_samples * num_samples)
    )
    return (middle - spread) / shrunk, (middle + spread) / shrunk


def _visible(text: str) -> str:
    """Return what a reader sees of an answer, so that answers which look alike are equal."""
    seen = "".join(one for one in text if one.isprintable() or one.isspace())
    return " ".join(seen.split()).casefold()


def _weak(baseline: Baseline, reason: Reason, **values: float | str) -> Weakness:
    texts = {
        name: value if isinstance(value, str) else f"{value:.1%}" for name, value in values.items()
    }
    texts["n"] = str(baseline.num_samples) if baseline.num_samples else UNKNOWN
    return Weakness(reason, baseline.num_samples, texts)
