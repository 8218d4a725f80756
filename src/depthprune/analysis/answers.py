"""The answers behind the drops: of a study, or of result files that list their samples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from depthprune.analysis.result_set import DatasetMeasurements, ResultSet
from depthprune.base.removal import Removal
from depthprune.study import Measurement, RemovalResult, StudyStore, read_results
from depthprune.study.store import DATABASE_NAME
from depthprune.tasks.damage import Damage, Kind, damage, kinds_of
from depthprune.tasks.weak import written


@dataclass(frozen=True)
class Answers:
    """The answers of one removal to the samples of a dataset, with their scores.

    Attributes:
        samples: their ids.
        answers: as they are stored.
        scores: in the same order.
        cut: places of those that reached the limit of their length; None: not recorded.
    """

    samples: tuple[str, ...]
    answers: tuple[str, ...]
    scores: tuple[float, ...]
    cut: tuple[int, ...] | None = None


@dataclass(frozen=True)
class DatasetAnswers:
    """The whole model's answers to a dataset, and what was asked.

    Attributes:
        whole: the whole model's answers.
        prompts: as they were sent, in the same order; None where they were not recorded.
        references: the accepted answers; None likewise.
        fingerprint: of the split; empty where unknown.
    """

    whole: Answers
    prompts: tuple[tuple[str, ...], ...] | None = None
    references: tuple[tuple[str, ...], ...] | None = None
    fingerprint: str = ""


@dataclass(frozen=True)
class AnswerPair:
    """What one sample asks, and what was answered with all blocks and without some.

    Attributes:
        sample: its id.
        prompt: as it was sent; None where it was not recorded.
        references: the accepted answers; None likewise.
        baseline_answer, answer: of the whole model, and of the one without the blocks.
        baseline_score, score: of these.
        damage: how `answer` is damaged, usually nothing; None where none was written.
    """

    sample: str
    prompt: str | None
    references: tuple[str, ...] | None
    baseline_answer: str
    answer: str
    baseline_score: float
    score: float
    damage: tuple[Kind, ...] | None

    @property
    def has_changed(self) -> bool:
        """Whether the two answers differ."""
        return self.answer != self.baseline_answer


@dataclass(frozen=True)
class PairedAnswers:
    """The answers of one removal to a dataset beside the whole model's.

    Attributes:
        dataset, split: that were asked.
        removal: the blocks left out.
        pairs: one for each sample that both answered.
        whole, without: the damage to the answers of both; None where none were written.
        fingerprint: of the split; empty where unknown.
    """

    dataset: str
    split: str
    removal: Removal
    pairs: tuple[AnswerPair, ...]
    whole: Damage | None
    without: Damage | None
    fingerprint: str


class AnswerReader:
    """Reads the answers behind results that were read from a study or from files; to be closed."""

    def __init__(self, results: ResultSet) -> None:
        folder = results.source
        assert folder is not None
        self._results = results
        self._selection = results.selection
        is_study = (folder / DATABASE_NAME).is_file()
        self._study = StudyStore.open(folder, read_only=True) if is_study else None
        self._files: dict[tuple[str, str], dict[Removal, RemovalResult]] = {}
        for found in () if is_study else read_results(folder).datasets:
            of_split = self._files.setdefault((found.dataset, found.split), {})
            of_split |= {result.removal: result for result in found.results}
        self._keys: dict[str, int] = {}

    def close(self) -> None:
        """Close the study."""
        if self._study is not None:
            self._study.close()

    def dataset(self, one: DatasetMeasurements) -> DatasetAnswers | None:
        """Return what was asked and the whole model's answers; None where they were not kept."""
        whole = self.answers(one, ())
        if whole is None:
            return None
        if self._study is None:
            return DatasetAnswers(whole)
        key = self._key(one)
        prompts = self._study.prompts(key, one.baseline.settings)
        references = self._study.references(key)
        return DatasetAnswers(
            whole,
            None if prompts is None else tuple(prompts),
            None if references is None else tuple(references),
            self._study.split(key).fingerprint,
        )

    def answers(self, one: DatasetMeasurements, removal: Removal) -> Answers | None:
        """Return the answers of a removal; None where they were not kept."""
        return self._read(one, removal) if self._study is None else self._stored(one, removal)

    def _stored(self, one: DatasetMeasurements, removal: Removal) -> Answers | None:
        assert self._study is not None
        key, settings = self._key(one), one.baseline.settings
        found = self._study.measurement(key, settings, removal)
        if found is None or not found.answers or found.scores is None:
            return None
        return Answers(
            self._study.split(key).sample_ids,
            found.answers,
            tuple(map(float, found.scores)),
            self._study.cut_answers(key, settings, removal),
        )

    def _key(self, one: DatasetMeasurements) -> int:
        """Return the key of the split that a dataset was read from."""
        assert self._study is not None
        if one.dataset not in self._keys:
            name, settings = (one.dataset, self._results.splits[one.dataset]), one.baseline.settings
            self._keys[one.dataset] = [
                stored.key
                for stored in self._study.splits()
                if (stored.record.task, stored.record.split) == name
                and (self._selection is None or (stored.key, settings) in self._selection)
                and _is_of(self._study.measurement(stored.key, settings, ()), one)
            ][-1]
        return self._keys[one.dataset]

    def _read(self, one: DatasetMeasurements, removal: Removal) -> Answers | None:
        found = self._files.get((one.dataset, self._results.splits[one.dataset]), {})
        whole, wanted = found.get(()), found.get(removal)
        # Files without answers read as if all of them were empty.
        if whole is None or wanted is None or not any(s.answer for s in whole.samples or ()):
            return None
        samples = wanted.samples
        if not samples:
            return None
        return Answers(
            tuple(one.sample_id for one in samples),
            tuple(one.answer for one in samples),
            tuple(one.score for one in samples),
        )


def pair_answers(
    reader: AnswerReader,
    one: DatasetMeasurements,
    split: str,
    removal: Removal,
    references: Mapping[str, Mapping[str, tuple[str, ...]]] | None = None,
) -> PairedAnswers | None:
    """Return the answers of a removal beside the whole model's; None where they were not kept.

    Args:
        reader: of the results.
        one: the dataset.
        split: its name.
        removal: the blocks left out.
        references: accepted answers by fingerprint of the split and sample, where they are at hand.
    """
    asked, other = reader.dataset(one), reader.answers(one, removal)
    if asked is None or other is None:
        return None
    whole, other = common(asked.whole, other)
    names = asked.whole.samples
    prompts = dict(zip(names, asked.prompts or (), strict=False))
    known = dict(zip(names, asked.references or (), strict=False))
    known |= (references or {}).get(asked.fingerprint, {})
    before, after = (written(each.answers, one.metric) for each in (whole, other))
    kinds = kinds_of(after, before, other.cut) if before and after else [None] * len(whole.samples)
    columns = (whole.answers, other.answers, whole.scores, other.scores, kinds)
    pairs = tuple(
        AnswerPair(
            sample,
            "\n".join(prompts[sample]) if sample in prompts else None,
            known.get(sample),
            *values,
        )
        for sample, *values in zip(whole.samples, *columns, strict=True)
    )
    return PairedAnswers(
        one.dataset,
        split,
        removal,
        pairs,
        damage(before, before, whole.cut) if before and after else None,
        damage(after, before, other.cut) if after and before else None,
        asked.fingerprint,
    )


def read_damage(
    results: ResultSet, removals: Collection[Removal] | None = None
) -> dict[str, dict[Removal, Damage]]:
    """Return how the written answers of each dataset are damaged, by removal; `()` among them.

    Datasets that were answered by likelihood, or whose answers were not kept, are left out.

    Args:
        results: see `AnswerReader`; those that were made in memory have no answers.
        removals: that are looked at, beside the whole model; None takes all.
    """
    found: dict[str, dict[Removal, Damage]] = {}
    if results.source is None:
        return found
    with closing(AnswerReader(results)) as reader:
        for one in results.datasets:
            whole = reader.answers(one, ())
            before = None if whole is None else written(whole.answers, one.metric)
            if whole is None or before is None:
                continue
            found[one.dataset] = {(): damage(before, before, whole.cut)}
            for removal in one.measurements:
                wanted = removals is None or removal in removals
                answers = reader.answers(one, removal) if wanted else None
                if answers is None:
                    continue
                paired = common(whole, answers)
                first, second = (written(each.answers, one.metric) for each in paired)
                if first and second:
                    found[one.dataset][removal] = damage(second, first, answers.cut)
    return found


def common(whole: Answers, other: Answers) -> tuple[Answers, Answers]:
    """Return the answers to the samples that both have, in the order of the first."""
    if whole.samples == other.samples:
        return whole, other
    places = {sample: place for place, sample in enumerate(other.samples)}
    kept = [place for place, sample in enumerate(whole.samples) if sample in places]
    return _taken(whole, kept), _taken(other, [places[whole.samples[place]] for place in kept])


def _taken(one: Answers, places: Sequence[int]) -> Answers:
    columns = (one.samples, one.answers, one.scores)
    taken = (tuple(column[place] for place in places) for column in columns)
    return Answers(*taken)  # type: ignore[arg-type]  # one tuple for each column


def _is_of(found: Measurement | None, one: DatasetMeasurements) -> bool:
    """Return whether a stored baseline is the one that an analysis took."""
    return found is not None and replace(found, answers=one.baseline.answers) == one.baseline
