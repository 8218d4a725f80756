"""The samples by which removals were found, and which others are fresh."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthprune.study.records import SplitRecord
from depthprune.study.store import Study

FEWEST_FRESH = 50
"""Fresh samples of a dataset below which nothing is verified on it."""

UNVERIFIED = "unverified"
"""In what a study says of a run that verified: by dataset, why it could not be verified: a
sentence, or the number of fresh samples where there are too few."""


@dataclass(frozen=True)
class SeenSamples:
    """The samples by which removals were found.

    Attributes:
        ids: by task.
        pictures: digests of their pictures, of all tasks: a picture may belong to several.
    """

    ids: Mapping[str, Collection[str]]
    pictures: frozenset[str]

    def fresh(self, record: SplitRecord) -> NDArray[np.bool_]:
        """Return for each sample of a split whether neither it nor a picture of it was seen."""
        ids = self.ids.get(record.task, ())
        shown: Sequence[Sequence[str]] = record.pictures or ((),) * len(record.sample_ids)
        return np.array(
            [
                name not in ids and self.pictures.isdisjoint(pictures)
                for name, pictures in zip(record.sample_ids, shown, strict=True)
            ],
            dtype=bool,
        )


def seen_samples(study: Study) -> SeenSamples:
    """Return the samples behind everything that was searched."""
    ids: dict[str, set[str]] = {}
    pictures: set[str] = set()
    for stored in study.splits():
        ids.setdefault(stored.record.task, set()).update(stored.record.sample_ids)
        pictures.update(one for shown in stored.record.pictures for one in shown)
    return SeenSamples(ids, frozenset(pictures))
