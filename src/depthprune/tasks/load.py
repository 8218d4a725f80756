"""Load the seeded sample of a split, with its scorer and fingerprint."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict

import numpy as np

from depthprune.base.errors import (
    DepthpruneError,
    MissingDependencyError,
    MissingSplitError,
    NoSampleLeftError,
    TaskError,
)
from depthprune.base.language import counted
from depthprune.base.log import logger
from depthprune.tasks.fields import RowSamples
from depthprune.tasks.metrics import check_metric, make_scorer, rule_of
from depthprune.tasks.sources import HubSource, LocalSource
from depthprune.tasks.task import (
    PICTURE_TASKS,
    ImageSource,
    Request,
    Sample,
    SampleSequence,
    Scorer,
    ScoringSource,
    Source,
    Task,
    TaskSplit,
    render_prompt,
)


def load_split(
    task: Task,
    split: str,
    num_samples: int | None = None,
    seed: int = 0,
    *,
    holdout: float = 0.0,
    seen: Collection[str] = (),
    seen_pictures: Collection[str] = (),
) -> TaskSplit:
    """Load `num_samples` samples of a split, or all of them.

    A union such as `train+validation` is sampled evenly: every sample of the joined splits has the
    same chance, without replacement. The chosen samples keep the order of the data, the parts of a
    union that of train, validation, others; in which order they are named does not matter. With the
    same seed a smaller sample is part of a larger one. Every picture is opened once.

    Args:
        task: the definition.
        split: `train` or `validation` (which the task maps to the data's names), a name that the
            data use themselves, or several joined by `+`.
        num_samples: how many; more than there are means all.
        seed: chooses the samples.
        holdout: share of the split that is never returned, whatever `num_samples`: the last ones
            that the seed draws.
        seen: ids of samples that are left out, because something was chosen by them; those that
            were held out come in then.
        seen_pictures: digests of pictures, likewise.

    Raises:
        MissingSplitError: no part of the split exists; a missing part of a union is only a warning
            that names it.
        NoSampleLeftError: every sample was seen.
        TaskError: the split is empty, a sample is unusable, a picture is damaged, or a source that
            a user wrote fails.
        MetricError: the task's metric is unknown or does not fit.
    """
    if not isinstance(task.source, ScoringSource):
        check_metric(task.metric, task.metric_options, task.answer)
    with _asking(task.source):
        # Users write sources: they may be anything but what they should be.
        split, names = _present_splits(task, split)
        parts = [task.source.samples(name) for name in names]
        available = sum(len(part) for part in parts)
    for part in parts:
        _check_columns(task, part)
    if not available:
        raise TaskError(f"the split {split} of {task.name} is empty", where=task.source.describe())
    what = f"{task.name}, {split}"
    known: dict[int, tuple[str, ...]] = {}
    if seen or seen_pictures:
        known = _choose_unseen(task, parts, num_samples, seed, (seen, seen_pictures))
        places = sorted(known)
    else:
        left = available - int(holdout * available)
        wanted = num_samples
        if left < available:
            wanted = left if num_samples is None else min(left, num_samples)
        places = sorted(_choose(available, wanted, seed, what))
    samples: dict[str, Sample] = {}
    pictures: list[tuple[str, ...]] = []
    data = hashlib.sha256()
    for place in places:
        with _asking(task.source):
            part, index = _at(parts, place)
            sample = part[index]
        _check(task, sample, part.place(index) if isinstance(part, RowSamples) else None)
        if isinstance(part, RowSamples):
            _check_picture(task, sample, part, index)
        if sample.id in samples:
            raise TaskError(f"two samples of {task.name} have the id {sample.id!r}")
        # The picture's bytes are read here, while its row is at hand.
        pictures.append(known[place] if place in known else _digests(task, sample))
        data.update(_sample_line(sample, pictures[-1]))
        samples[sample.id] = sample
    chosen = tuple(samples.values())
    scorer = _scorer(task, chosen)
    return TaskSplit(
        task=task,
        split=split,
        samples=chosen,
        scorer=scorer,
        fingerprint=_fingerprint(task, data.hexdigest(), scorer),
        metric_version=_metric_version(task),
        pictures=tuple(pictures),
    )


def _digests(task: Task, sample: Sample) -> tuple[str, ...]:
    with _asking(task.source):
        return tuple(image_digest(image) for image in sample.images)


def check_needs(task: Task) -> None:
    """Find, before data are fetched, what a task needs that is not on this machine.

    That are packages, Java for captions, and files; what only the data tell is found later.

    Raises:
        DepthpruneError: names what is missing.
        ModuleNotFoundError: a package is.
    """
    if task.task_type in PICTURE_TASKS:
        importlib.import_module("PIL")
    if not isinstance(task.source, ScoringSource):
        check_metric(task.metric, task.metric_options, task.answer)
        try:
            make_scorer(task.metric, task.metric_options, _TRIAL, task.answer)
        except (MissingDependencyError, ModuleNotFoundError):
            raise
        except Exception:  # A user's metric may refuse samples that are none of its task.
            logger.debug("%s: the metric was not tried", task.name, exc_info=True)
    if isinstance(task.source, HubSource):
        importlib.import_module("datasets")
    elif isinstance(task.source, LocalSource):
        task.source.splits()


_TRIAL = tuple(Sample(name, "", references=("a caption",)) for name in "ab")
"""Samples by which a metric shows what it needs."""


def _scorer(task: Task, samples: Sequence[Sample]) -> Scorer:
    if isinstance(task.source, ScoringSource):
        with _asking(task.source):
            return task.source.scorer(samples)
    return make_scorer(task.metric, task.metric_options, samples, task.answer)


def image_digest(image: ImageSource) -> str:
    """Return a hash that identifies a picture: of its encoded bytes where the source knows them.

    Raises:
        TaskError: the picture cannot be read or is damaged.
    """
    # Opened in any case: a damaged picture must not be found after hours of measuring.
    picture = image.open()
    digest = getattr(image, "digest", None)
    if digest is not None:
        text = str(digest())
        # A study keeps digests as words.
        return text if text.split() == [text] else hashlib.sha256(text.encode()).hexdigest()
    return hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()


@contextmanager
def _asking(source: Source) -> Iterator[None]:
    """Turn whatever a user's source raises into an error that names its file."""
    try:
        # What a source prints must not get among results on standard output.
        with redirect_stdout(sys.stderr):
            yield
    except DepthpruneError:
        raise
    except Exception as error:
        raise TaskError(
            f"the source {type(source).__name__} failed: {type(error).__name__}: {error}",
            where=getattr(sys.modules.get(type(source).__module__), "__file__", None),
        ) from error


def _present_splits(task: Task, split: str) -> tuple[str, list[str]]:
    """Return the split in its usual spelling, and the data's names of the parts that are there."""
    available = tuple(task.source.splits())
    roles = {"train": task.train_split, "validation": task.validation_split}
    # A user's copy of the data may call its validation split so, whatever the original does.
    played = {
        role: role if name not in available and role in available else name
        for role, name in roles.items()
    }
    order = [*dict.fromkeys((*played.values(), *available))]
    names: dict[str, str] = {}
    for part in split.split("+"):
        asked = part.strip()
        name = played.get(asked, asked)
        if not asked:
            raise TaskError(
                f"{split!r} is not a split", mend="join splits by +, such as train+validation"
            )
        if name in names:
            both = (
                f"{names[name]} and {asked} are both" if names[name] != asked else "that is twice"
            )
            raise TaskError(
                f"{split!r} cannot be joined: {both} the split {name} of {task.name}",
                where=task.source.describe(),
                mend="join different splits, such as train+validation",
            )
        names[name] = asked
    ordered = sorted(names, key=lambda n: (order.index(n) if n in order else len(order), n))
    listed = ", ".join(available) or "none"
    missing = [name for name in ordered if name not in available]
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
    return "+".join(names[name] for name in ordered), [n for n in ordered if n in available]


def _choose(available: int, wanted: int | None, seed: int, what: str) -> list[int]:
    if wanted is None:
        return list(range(available))
    if wanted < 1:
        raise TaskError(
            f"{counted(wanted, 'sample')} cannot be evaluated", mend="ask for at least one"
        )
    if wanted > available:
        logger.info("%s has %d samples, not %d; taking all", what, available, wanted)
    # RandomState's stream is frozen for ever (NEP 19), a Generator's is not.
    shuffled = np.random.RandomState(seed % 2**32).permutation(available)
    return [int(place) for place in shuffled[:wanted]]


def _choose_unseen(
    task: Task,
    parts: Sequence[SampleSequence],
    wanted: int | None,
    seed: int,
    seen: tuple[Collection[str], Collection[str]],
) -> dict[int, tuple[str, ...]]:
    """Return the places of samples with other ids and other pictures, with their digests."""
    available = sum(len(part) for part in parts)
    ids, pictures = seen
    found: dict[int, tuple[str, ...]] = {}
    for place in _choose(available, available, seed, task.name):
        if len(found) == wanted:
            break
        with _asking(task.source):
            part, index = _at(parts, place)
            sample = part[index]
        _check_types(task, sample)
        if sample.id in ids:
            continue
        shown = _digests(task, sample)
        if not any(one in pictures for one in shown):
            found[place] = shown
    if not found:
        raise NoSampleLeftError(
            f"all {counted(available, 'sample')} of {task.name} were seen already",
            where=task.source.describe(),
            mend="search on fewer samples, so that some are left to verify on",
        )
    return found


def _at(parts: Sequence[SampleSequence], place: int) -> tuple[SampleSequence, int]:
    for part in parts:
        if place < len(part):
            return part, place
        place -= len(part)
    raise IndexError(place)


def _check_columns(task: Task, part: SampleSequence) -> None:
    """Refuse a table without the questions or pictures that are asked: the model would guess."""
    if not isinstance(part, RowSamples) or task.answer == "read":
        return
    part.require_pictures(always=task.task_type in PICTURE_TASKS)
    part.require_all_pictures()
    if "{choices}" in task.prompt and task.task_type == "Multiple Choice":
        part.require_options()
    if "{question}" in task.prompt:
        part.require_question()


def _check(task: Task, sample: Sample, row: str | None) -> None:
    """Refuse a sample that cannot be asked or scored; `row` is its file and line, where known."""
    _check_types(task, sample)
    render_prompt(task, sample)
    where = row or task.source.describe()
    if not any(reference.strip() for reference in sample.references):
        raise TaskError(
            f"sample {sample.id} of {task.name} has no reference answer",
            where=where,
            mend="splits whose answers are secret (often `test`) cannot be scored",
        )
    if task.answer == "respond" and not sample.requests:
        raise TaskError(
            f"sample {sample.id} of {task.name} has no requests to respond to",
            where=where,
            mend="give the sample requests, or the task another answer mode",
        )
    if task.answer == "choose" and not sample.choices:
        raise TaskError(
            f"sample {sample.id} of {task.name} has no options to choose from",
            where=row,
            mend="map the column with `choices`, or set `answer: generate`",
        )


def _check_picture(task: Task, sample: Sample, part: RowSamples, index: int) -> None:
    """Refuse a question about a picture without one."""
    is_asked = task.task_type in PICTURE_TASKS and task.answer != "read"
    if is_asked and part.fields.has_images and not sample.images:
        raise TaskError(
            f"sample {sample.id} of {task.name} has no picture, and the task is about pictures",
            where=part.place(index),
            mend="leave the row out, or choose another task type for questions about texts",
        )


def _check_types(task: Task, sample: object) -> None:
    """Refuse what a user's source may take for a sample, such as a text for a tuple of texts."""
    if not isinstance(sample, Sample):
        raise TaskError(
            f"a sample of {task.name} is a {type(sample).__name__}, not a Sample",
            where=task.source.describe(),
        )
    right = {
        "id": isinstance(sample.id, str),
        "question": isinstance(sample.question, str),
        "references": _are_texts(sample.references),
        "choices": _are_texts(sample.choices),
        "images": isinstance(sample.images, tuple | list),
        "requests": all(isinstance(request, Request) for request in sample.requests),
    }
    for name, is_right in right.items():
        if not is_right:
            raise TaskError(
                f"sample {sample.id!r} of {task.name}: {name} cannot be "
                f"{getattr(sample, name)!r:.60}",
                where=task.source.describe(),
                mend="id and question are texts, references and choices tuples of texts, images a "
                "tuple of pictures",
            )


def _are_texts(value: object) -> bool:
    return isinstance(value, tuple | list) and all(isinstance(entry, str) for entry in value)


def _sample_line(sample: Sample, pictures: Sequence[str]) -> bytes:
    parts: list[object] = [sample.id, sample.question, sample.references, sample.choices]
    parts.append(list(pictures))
    if sample.requests:
        parts.append([asdict(request) for request in sample.requests])
    return _line(parts)


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
    version = _metric_version(task)
    if version is not None:
        settings["metric_version"] = version
    if task.open_prompt:
        settings["open_prompt"] = task.open_prompt
    identity = getattr(scorer, "identity", "")
    if identity:
        settings["identity"] = identity
    return hashlib.sha256(_line(settings)).hexdigest()


def _metric_version(task: Task) -> int | None:
    # Of a source that scores by rules of its own, the scorer's `identity` says what they are.
    return None if isinstance(task.source, ScoringSource) else rule_of(task.metric).version


def _line(value: object) -> bytes:
    return (json.dumps(value, sort_keys=True, default=str) + "\n").encode()
