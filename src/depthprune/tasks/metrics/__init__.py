"""The metrics by name: each scores one answer, most of them 0..1, higher is better."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from depthprune.base.errors import MetricError
from depthprune.base.files import is_number
from depthprune.base.lazy import lazily
from depthprune.base.registry import Registry, is_own
from depthprune.tasks.task import AnswerMode, Sample, Scorer

if TYPE_CHECKING:
    from depthprune.tasks.metrics.likelihood import corpus_perplexity


class Rule(NamedTuple):
    """A metric of the registry.

    Attributes:
        build: returns the scorer, given the options (and the samples, where it takes them).
        answer: the way of answering that it scores.
        version: rises whenever the rule may score an answer differently; results of two versions
            are not comparable.
    """

    build: Callable[..., Scorer]
    answer: AnswerMode
    version: int


METRICS: Registry[Any] = Registry(
    "metric",
    "depthprune.tasks.metrics",
    first=(
        *("vqa_accuracy", "anls", "exact_match", "choice_letter", "choice_likelihood"),
        *("cider_d", "perplexity", "token_accuracy"),
    ),
    accepts=callable,
    error=MetricError,
)
"""The metrics by name: a `Rule` each."""

Built = TypeVar("Built", bound=Callable[..., Scorer])


def scores_by(
    name: str, answer: AnswerMode = "generate", version: int = 1
) -> Callable[[Built], Built]:
    """Return a decorator that adds a scorer to the metrics."""

    def add(build: Built) -> Built:
        METRICS.add(name)(Rule(build, answer, version))
        return build

    return add


def rule_of(metric: str) -> Rule:
    """Return the rule of a metric; of a scorer in a user's own file, by its attributes.

    Raises:
        MetricError: there is no such metric.
    """
    found = METRICS.find(metric)
    if isinstance(found, Rule):
        return found
    return Rule(found, getattr(found, "answer", "generate"), getattr(found, "version", 1))


__all__ = [
    "METRICS",
    "Metric",
    "Rule",
    "check_metric",
    "corpus_perplexity",
    "make_scorer",
    "metric",
    "rule_of",
    "scores_by",
]


# The modules of this package add themselves to METRICS, and so import it.
__getattr__ = lazily(__name__, {"corpus_perplexity": f"{__name__}.likelihood"})


class Metric:
    """A metric that scores one answer at a time, without task or data.

    Attributes:
        name: as in the registry, e.g. `choice_letter`.
        version: of its rule, see `Rule`.
    """

    def __init__(self, name: str, scorer: Scorer) -> None:
        self.name = name
        self.version = rule_of(name).version
        self._scorer = scorer

    def __repr__(self) -> str:
        return f"metric({self.name!r})"

    def score(
        self,
        answer: str,
        references: str | Sequence[str],
        *,
        choices: Sequence[str] | None = None,
    ) -> float:
        """Return the score of an answer, 0..1, higher is better.

        Args:
            answer: what the model wrote; the letter it chose (`choice_likelihood`); or the JSON
                text of how it read a text (`perplexity`, `token_accuracy`).
            references: the accepted answer, or several; for multiple choice the right letter.
            choices: the options of a multiple choice question, in order A, B, C, ...

        Raises:
            MetricError: an argument is no text, or the answer is of another kind than it scores.
        """
        accepted = (references,) if isinstance(references, str) else tuple(references)
        options = tuple(choices or ())
        if isinstance(choices, str) or not all(
            isinstance(text, str) for text in (answer, *accepted, *options)
        ):
            raise MetricError(
                f"{self.name} scores texts, not {answer!r:.60} against {references!r:.60}"
                + (f" among {choices!r:.60}" if choices else ""),
                mend="give a text, a list of texts as references, and a list of texts as choices",
            )
        return self._scorer.score(Sample("", "", references=accepted, choices=options), answer)


def metric(name: str, **options: Any) -> Metric:
    """Return the metric of this name, to score single answers.

    `depthprune.metric("choice_letter").score("(B)", "B", choices=["a cat", "a dog"])` is 1.0.

    Args:
        name: of the registry, e.g. `exact_match`; hyphens and underscores are the same.
        options: of the metric, such as `threshold=0.5` of `anls`.

    Raises:
        MetricError: there is no such metric or option, or the metric weighs an answer by the other
            samples of a split (`cider_d`).
    """
    name = name if is_own(name) else name.replace("-", "_")
    build, answer, _ = rule_of(name)
    check_metric(name, options, answer)
    if _needs_samples(build):
        raise MetricError(
            f"{name} weighs words by all samples of a split: it cannot score an answer alone",
            mend="load the split and use its scorer: load_split(task, split).scorer",
        )
    return Metric(name, build(**options))


def check_metric(metric: str, options: Mapping[str, Any], answer: AnswerMode) -> None:
    """Check that a task can be scored by this metric, before its data are loaded.

    Raises:
        MetricError: there is no such metric or option, an option's value is of the wrong type, or
            the metric scores another way of answering (see `AnswerMode`).
    """
    build, mode, _ = rule_of(metric)
    if answer != mode:
        raise MetricError(
            f"the metric {metric} scores answers of mode `{mode}`, the task's mode is `{answer}`",
            mend=f"set `answer: {mode}` in the task, or choose another metric",
        )
    known = _options(build)
    for option, value in options.items():
        if option not in known:
            raise MetricError(
                f"the metric {metric} has no option {option!r}",
                mend=_suggest(option, list(known), "options"),
            )
        kind = type(known[option])
        if not (isinstance(value, kind) or (kind is float and is_number(value))):
            raise MetricError(
                f"the option {option} of {metric} cannot be {value!r}",
                mend=f"give a {kind.__name__}, such as the default {known[option]!r}",
            )


def make_scorer(
    metric: str, options: Mapping[str, Any], samples: Sequence[Sample], answer: AnswerMode
) -> Scorer:
    """Return the scorer of `metric` for these samples; raises MetricError as `check_metric`."""
    check_metric(metric, options, answer)
    build = rule_of(metric).build
    if _needs_samples(build):
        return build(samples=samples, **options)
    return build(**options)


def _needs_samples(build: Callable[..., Scorer]) -> bool:
    return "samples" in inspect.signature(build).parameters


def _options(build: Callable[..., Scorer]) -> dict[str, Any]:
    """Return the options of a metric with their defaults."""
    parameters = inspect.signature(build).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def _suggest(name: str, known: list[str], what: str) -> str:
    close = difflib.get_close_matches(name, known, n=2)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}known {what}: {', '.join(known) or 'none'}"
