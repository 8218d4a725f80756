"""Specification of what the searches of single datasets gained."""

from __future__ import annotations

import pytest

from depthprune.analysis.study_summary import gains_by_dataset, mean_gains, search_gains
from tests.measurements import dataset

FIRST = dataset("okvqa", [1, 1], {(1, 2): [0, 1], (0, 3): [1, 1], (0, 1, 2): [0, 0]})
SECOND = dataset("doc_qa", 0.75, {(1, 3): 0.5, (0, 3): 0.25})
ONE_SHOT = {"okvqa": {2: (1, 2), 3: (0, 1, 2)}, "doc_qa": {2: (0, 3)}}


def test_each_dataset_is_held_against_its_own_one_shot_ranking() -> None:
    gains = gains_by_dataset([FIRST, SECOND], 16, ONE_SHOT)
    assert gains["okvqa"] == search_gains([FIRST], 16, ONE_SHOT["okvqa"])
    assert gains["doc_qa"] == search_gains([SECOND], 16, ONE_SHOT["doc_qa"])


def test_the_mean_is_over_the_datasets_that_know_the_gain() -> None:
    pair, triple = mean_gains(gains_by_dataset([FIRST, SECOND], 16, ONE_SHOT))
    assert (pair.number, pair.num_datasets) == (2, 2)
    assert pair.gain == pytest.approx((0.5 + 0.25) / 2)
    # Without scores per sample, doc_qa has no held-out gain.
    assert pair.held_out == gains_by_dataset([FIRST], 16, ONE_SHOT)["okvqa"][0].held_out
    assert (triple.number, triple.num_datasets, triple.gain) == (3, 1, 0.0)


def test_without_a_known_gain_there_is_no_mean() -> None:
    assert mean_gains(gains_by_dataset([FIRST], 16, {})) == []
    (only,) = mean_gains(gains_by_dataset([SECOND], 16, ONE_SHOT))
    assert only.held_out is None
