"""Load the seeded sample of a split, with its scorer and fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from depthprune.base.errors import MissingSplitError, TaskError
from depthprune.base.log import logger
from depthprune.tasks.metrics import check_metric, make_scorer
from depthprune.tasks.prompt import render_prompt
from depthprune.tasks.task import ImageSource, Sample, SampleSequence, Scorer, Task, TaskSplit


def load_split(task: Task, split: str, num_samples: int | None = None, seed: int = 0) -> TaskSplit:
    """Load `num_samples` samples of a split, or all of them.

    A union such as `train+validation` is sampled evenly: every sample of the joined splits has the
    same chance, without replacement. The chosen samples keep the order of the data. With the same
    seed a smaller sample is part of a larger one.

    Args:
        task: the definition.
        split: `train` or `validation` (which the task maps to the data's names), a name that the
            data use themselves, or several joined by `+`.
        num_samples: how many; more than there are means all, with a warning.
        seed: chooses the samples.

    Raises:
        MissingSplitError: no part of the split exists; a missing part of a union is only a warning
            that names it.
        TaskError: the split is empty, or a sample is unusable.
        MetricError: the task's metric is unknown or does not fit.
    """
    check_metric(task.metric, task.metric_options, task.answer)
    parts = [task.source.samples(name) for name in _present_splits(task, split)]
    available = sum(len(part) for part in parts)
    if not available:
        raise TaskError(f"the split {split} of {task.name} is empty", where=task.source.describe())
    places = _choose(available, num_samples, seed, f"{task.name}, {split}")
    samples: dict[str, Sample] = {}
    data = hashlib.sha256()
    for place in places:
        sample = _at(parts, place)
        if sample.id in samples:
            raise TaskError(f"two samples of {task.name} have the id {sample.id!r}")
        _check(task, sample)
        # The picture's bytes are read here, while its row is at hand.
        data.update(_sample_line(sample))
        samples[sample.id] = sample
    chosen = tuple(samples.values())
    scorer = make_scorer(task.metric, task.metric_options, chosen, task.answer)
    return TaskSplit(task, split, chosen, scorer, _fingerprint(task, data.hexdigest(), scorer))


def image_digest(image: ImageSource) -> str:
    """Return a hash that identifies a picture: of its encoded bytes where the source knows them.

    Raises:
        TaskError: the picture cannot be read.
    """
    digest = getattr(image, "digest", None)
    if digest is not None:
        return str(digest())
    picture = image.open()
    return hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()


def _present_splits(task: Task, split: str) -> list[str]:
    """Return the data's names of the splits asked for that are there, in the order asked for."""
    available = task.source.splits()
    played = {"train": task.train_split, "validation": task.validation_split}
    names = []
    for part in split.split("+"):
        asked = part.strip()
        name = played.get(asked, asked)
        # A user's copy of the data may call its validation split so, whatever the original does.
        names.append(asked if name not in available and asked in available else name)
    if len(set(names)) < len(names) or not all(names):
        raise TaskError(
            f"{split!r} is not a split", mend="join different splits, such as train+validation"
        )
    listed = ", ".join(available) or "none"
    missing = [name for name in names if name not in available]
    if len(missing) == len(names):
        raise MissingSplitError(
            f"{task.name} has no split {' or '.join(missing)}",
            where=task.source.describe(),
            mend=f"splits that are there: {listed}",
        )
    for name in missing:
        logger.warning(
            "%s has no split %s (it has %s); going on without it", task.name, name, listed
        )
    return [name for name in names if name in available]


def _choose(available: int, wanted: int | None, seed: int, what: str) -> list[int]:
    if wanted is None:
        return list(range(available))
    if wanted < 1:
        raise TaskError(f"{wanted} samples cannot be evaluated", mend="ask for at least one")
    if wanted > available:
        logger.warning("%s has %d samples, not %d; taking all", what, available, wanted)
    # RandomState's stream is frozen for ever (NEP 19), a Generator's is not.
    shuffled = np.random.RandomState(seed % 2**32).permutation(available)
    return sorted(int(place) for place in shuffled[:wanted])


def _at(parts: Sequence[SampleSequence], place: int) -> Sample:
    for part in parts:
        if place < len(part):
            return part[place]
        place -= len(part)
    raise IndexError(place)


def _check(task: Task, sample: Sample) -> None:
    render_prompt(task, sample)
    if not sample.references:
        raise TaskError(
            f"sample {sample.id} of {task.name} has no reference answer",
            where=task.source.describe(),
            mend="splits whose answers are secret (often `test`) cannot be scored",
        )
    if task.answer == "choose" and not sample.choices:
        raise TaskError(
            f"sample {sample.id} of {task.name} has no options to choose from",
            mend="map the column with `choices`, or set `answer: generate`",
        )


def _sample_line(sample: Sample) -> bytes:
    images = [image_digest(image) for image in sample.images]
    return _line([sample.id, sample.question, sample.references, sample.choices, images])


def _fingerprint(task: Task, data: str, scorer: Scorer) -> str:
    """Hash whatever can change a score, but not where the data lie."""
    settings = {
        "data": data,
        "prompt": task.prompt,
        "choice_format": task.choice_format,
        "choice_separator": task.choice_separator,
        "metric": task.metric,
        "metric_options": dict(task.metric_options),
        "scorer": scorer.name,
        "answer": task.answer,
        "max_new_tokens": task.max_new_tokens,
    }
    return hashlib.sha256(_line(settings)).hexdigest()


def _line(value: object) -> bytes:
    return (json.dumps(value, sort_keys=True, default=str) + "\n").encode()
