"""Scores by the rules of the lm-evaluation-harness: of one document, and of a whole split."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from depthprune.base.errors import MetricError
from depthprune.base.language import counted
from depthprune.tasks.lm_eval.source import LmEvalSource
from depthprune.tasks.metrics.likelihood import parse_responses
from depthprune.tasks.task import Sample, Scorer, TaskSplit

PERPLEXITIES = ("perplexity", "weighted_perplexity", "bits_per_byte")
MEANS = ("mean", "nanmean")
LABELS = ("f1_score", "matthews_corrcoef")
"""Aggregations of the harness by the name of their function, see `LmEvalScorer`."""

WITHOUT_MEANING = {
    "task", "task_alias", "tag", "dataset_path", "dataset_name", "dataset_kwargs", "metadata",
}  # fmt: skip
"""Fields of a definition that change no score once its documents are known."""

Metrics = Mapping[str, Any]
"""What the harness finds of one document, by metric: a number, or what its aggregation takes."""


class LmEvalScorer(Scorer):
    """Scores one document by one metric of its task, higher is better.

    By the metric's aggregation in the harness:

    - a mean: the document's own value (its negative, where lower is better);
    - a perplexity, or bits per byte: exp(log-likelihood / words, bytes or texts), in 0..1, which is
      1 / perplexity of the document;
    - F1 or Matthews' correlation of labels: 1 when the label is right, else 0;
    - any other (BLEU, ...): the aggregation of this document alone.

    A value that is not finite scores 0. When the metric is `auto`, it is the first one of the
    definition that is a mean of which higher is better, else the first of the kind named next
    above. The answers pass the definition's first filter, unless the metric names another.
    """

    def __init__(self, source: LmEvalSource, samples: Sequence[Sample]) -> None:
        """Choose the metric; raises MetricError when the task has no such metric or filter."""
        self._source = source
        self.metric, self.filter = _chosen(source)
        self._is_auto = source.metric == "auto"
        self.identity = _identity(source, samples)

    @property
    def name(self) -> str:  # type: ignore[override]
        """The metric as the harness names it, with the filter where there are several."""
        several = len(_filters(self._source.task)) > 1
        metric = f"{self.metric},{self.filter}" if several else self.metric
        is_perplexity = _kind(self._source.task, self.metric) == "perplexity"
        return f"{'1 / ' * is_perplexity}{metric} (lm-eval)"

    def score(self, sample: Sample, answer: str) -> float:
        """Return the document's score; raises MetricError on an answer of another mode."""
        return self.score_many([sample], [answer])[0]

    def score_many(self, samples: Sequence[Sample], answers: Sequence[str]) -> list[float]:
        """Return the score of each document."""
        with self._source.guarded():
            return [
                self._score(sample, self.metrics([sample], [answer])[self.filter][0])
                for sample, answer in zip(samples, answers, strict=True)
            ]

    def metrics(
        self, samples: Sequence[Sample], answers: Sequence[str]
    ) -> dict[str, list[Metrics]]:
        """Return, for every filter of the task, what the harness finds of every document."""
        from lm_eval.api.instance import Instance

        task = self._source.task
        by_sample = []
        for sample, answer in zip(samples, answers, strict=True):
            doc = self._source.doc(sample)
            instances = []
            for place, response in enumerate(parse_responses(sample, answer)):
                request = sample.requests[place]
                arguments = (request.context, request.continuation)
                instance = Instance(request.kind, doc, arguments, place)
                # Greedy answers are equal however often they are asked for.
                instance.resps = [response] * int(task.config.repeats or 1)
                instances.append(instance)
            by_sample.append((doc, instances))
        task._instances = [instance for _, instances in by_sample for instance in instances]
        task.apply_filters()
        # A model that overflows without some block divides nothing by nothing here.
        with np.errstate(all="ignore"):
            return {
                name: [
                    task.process_results(doc, [one.filtered_resps[name] for one in instances])
                    for doc, instances in by_sample
                ]
                for name in _filters(task)
            }

    def _score(self, sample: Sample, found: Metrics) -> float:
        task, metric = self._source.task, self.metric
        if metric not in found and self._is_auto:
            # Some metrics are functions that tell several figures, which have other names.
            metric = next(iter(found), metric)
        if metric not in found:
            raise MetricError(
                f"{self._source.describe()} does not tell {metric} of every document",
                where=f"sample {sample.id}",
                mend=f"choose another metric: {', '.join(found)}",
            )
        value = _number(task, metric, found[metric])
        return value if math.isfinite(value) else 0.0


def lm_eval_metrics(
    split: TaskSplit, answers: Sequence[str], *, bootstrap_iters: int = 1000
) -> dict[str, float | None]:
    """Return all metrics of the harness, as `lm_eval.simple_evaluate` tells them of a task.

    Args:
        split: of a task of the harness; all its samples count.
        answers: one for each sample, from an `Evaluation`.
        bootstrap_iters: draws for standard errors that have no formula (the harness takes 100000);
            0 for no standard errors.

    Returns:
        By `metric,filter` and `metric_stderr,filter`; None where there is no standard error.

    Raises:
        MetricError: the task is none of the harness's, or there is not one answer per sample.
    """
    source, scorer = split.task.source, split.scorer
    if not isinstance(source, LmEvalSource) or not isinstance(scorer, LmEvalScorer):
        raise MetricError(f"{split.task.name} is no task of the lm-evaluation-harness")
    if not answers or len(answers) != len(split.samples):
        raise MetricError(
            f"{counted(len(answers), 'answer')} to the {counted(len(split.samples), 'sample')} "
            f"of {split.task.name}"
        )
    # The harness draws in a pool of forked processes; a fork of a process that runs threads (a
    # progress bar's, torch's) can wait for ever on a lock that one of them held.
    with source.guarded(), patch.dict(os.environ, {"DISABLE_MULTIPROC": "1"}):
        from lm_eval.api.metrics import mean, stderr_for_metric

        values: dict[str, float | None] = {}
        for name, found in scorer.metrics(split.samples, answers).items():
            columns: dict[str, list[Any]] = {}
            for document in found:
                for metric, value in document.items():
                    columns.setdefault(metric, []).append(value)
            for metric, column in columns.items():
                aggregate = source.task.aggregation().get(metric) or mean
                values[f"{metric},{name}"] = _aggregated(aggregate, column)
                # As in the harness: many draws of corpus metrics would take hours.
                slow = metric in ("bleu", "chrf", "chrf++", "ter")
                draws = min(bootstrap_iters, 100) if slow else bootstrap_iters
                error = stderr_for_metric(aggregate, draws) if draws > 0 else None
                values[f"{metric}_stderr,{name}"] = (
                    None if error is None or len(column) < 2 else _aggregated(error, column)
                )
    return values


def _identity(source: LmEvalSource, samples: Sequence[Sample]) -> str:
    """Return everything that can change a score beside the requests, as a text."""
    import lm_eval

    task = source.task
    docs = hashlib.sha256()
    for sample in samples:
        docs.update(json.dumps(source.doc(sample), default=_stable, sort_keys=True).encode())
    about = {
        "lm_eval": lm_eval.__version__,
        "version": task.VERSION,
        "class": type(task).__name__,
        "config": {k: v for k, v in vars(task.config).items() if k not in WITHOUT_MEANING},
        "docs": docs.hexdigest(),
    }
    return json.dumps(about, default=_stable, sort_keys=True)


def _aggregated(aggregate: Callable[[Any], Any], column: Sequence[Any]) -> float:
    try:
        return float(aggregate(column))
    except OverflowError:
        # The perplexity of a model that lost too much.
        return math.inf


def _chosen(source: LmEvalSource) -> tuple[str, str]:
    """Return the metric and the filter that score a document."""
    task = source.task
    known = [metric for metric in task.aggregation() if metric != "bypass"]
    asked, _, filter_name = source.metric.partition(",")
    filters = _filters(task)
    _check_known(source, filter_name or filters[0], filters, "filter")
    if source.metric != "auto":
        _check_known(source, asked, known, "metric")
        return asked, filter_name or filters[0]
    if not known:
        raise MetricError(f"{source.describe()} has no metric")
    return min(known, key=lambda metric: _rank(task, metric)), filters[0]


def _check_known(source: LmEvalSource, name: str, known: Sequence[str], thing: str) -> None:
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=2)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise MetricError(
        f"{source.describe()} has no {thing} {name!r}",
        mend=f"{hint}{thing}s: {', '.join(known)}",
    )


def _filters(task: Any) -> list[str]:
    return [ensemble.name for ensemble in task._filters]


def _rank(task: Any, metric: str) -> int:
    lower = task.higher_is_better().get(metric) is False
    kind = _kind(task, metric)
    if kind == "mean":
        return 4 if lower else 0
    return {"perplexity": 1, "label": 2}.get(kind, 4 if lower else 3)


def _kind(task: Any, metric: str) -> str:
    name = getattr(task.aggregation().get(metric), "__name__", "mean")
    kinds = dict.fromkeys(MEANS, "mean") | dict.fromkeys(PERPLEXITIES, "perplexity")
    return (kinds | dict.fromkeys(LABELS, "label")).get(name, "other")


def _number(task: Any, metric: str, value: Any) -> float:
    """Return what a document's value of a metric is worth, see `LmEvalScorer`."""
    kind = _kind(task, metric)
    if kind == "perplexity":
        log_likelihood, weight = value if isinstance(value, tuple) else (value, 1)
        return math.exp(min(log_likelihood / weight, 700.0)) if weight else 0.0
    if kind == "label":
        right, found = value
        return float(found in right if isinstance(right, list) else found == right)
    number = value
    if kind == "other":
        number = math.nan
        # What needs several documents says nothing of one.
        with suppress(ArithmeticError, ValueError):
            number = task.aggregation()[metric]([value])
    return -float(number) if task.higher_is_better().get(metric) is False else float(number)


def _stable(value: Any) -> Any:
    """Return something that identifies a value in every process; functions by their files."""
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, date | bytes):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "__dataclass_fields__"):
        return vars(value)
    name = getattr(value, "__qualname__", type(value).__qualname__)
    with suppress(TypeError, OSError):
        file = inspect.getsourcefile(inspect.unwrap(value))
        if file is not None:
            return f"{name} {hashlib.sha256(Path(file).read_bytes()).hexdigest()}"
    return str(name)
