"""The public conformance suites pass what holds the contracts, and refuse what breaks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from depthprune.base.removal import Removal
from depthprune.importance.proxies import PROXIES
from depthprune.strategies import LimitedStrategy, SearchSpace
from depthprune.tasks.registry import get_task
from depthprune.tasks.task import Sample, SampleSequence
from depthprune.testing.metrics import hold_metric
from depthprune.testing.proxies import hold_proxy
from depthprune.testing.strategies import hold_strategy
from depthprune.testing.tasks import hold_task

SPACE = SearchSpace(8)
CASES = [
    (Sample("1", "?", references=("a cat",)), "a cat"),
    (Sample("2", "?", references=("dog",)), "bird"),
]

OWN_METRICS = """
from depthprune.tasks.task import Scorer

class FirstLetter(Scorer):
    name = "first_letter"
    bounds = (0.0, 1.0)

    def score(self, sample, answer):
        return float(any(answer[:1] == one[:1] for one in sample.references))

class Percent(FirstLetter):
    def score(self, sample, answer):
        return 100 * super().score(sample, answer)

class Counting(Scorer):
    name = "counting"
    calls = 0

    def score(self, sample, answer):
        self.calls += 1
        return float(self.calls)
"""

OWN_PROXIES = """
from depthprune.importance.proxies import ProxyScores, proxy

@proxy("mine", "-i for block i", "Folklore", "hidden states")
def mine(calibration):
    blocks = range(calibration.stack.num_blocks)
    return ProxyScores("mine", {block: -float(block) for block in blocks}, num_samples=2)

calls = []

@proxy("shaky", "the number of calls", "Folklore", "hidden states")
def shaky(calibration):
    calls.append(1)
    return ProxyScores("shaky", {0: float(len(calls))})
"""


def drop_of(removal: Removal) -> float:
    return 0.01 * sum(removal)


@dataclass(frozen=True, kw_only=True)
class Asking(LimitedStrategy):
    """Asks for single blocks, in one way or another."""

    way: str = "well"

    def ask(self, space: SearchSpace, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        wanted = [one for one in space.extend(()) if one not in drops]
        if self.way == "again and again":
            return space.extend(())
        if self.way == "in the order it is told":
            return wanted if len(drops) % 2 else wanted[::-1]
        if self.way == "outside the space":
            return [one for one in [(99,)] if one not in drops]
        if self.way == "for nothing":
            return []
        return wanted

    def most_evaluations(self, space: SearchSpace) -> int:
        return 3 if self.way == "for more than it says" else 0


def test_a_strategy_that_holds_the_contract_passes() -> None:
    assert hold_strategy(Asking(), SPACE, drop_of) == [(block,) for block in range(8)]


@pytest.mark.parametrize(
    "way",
    [
        *("again and again", "in the order it is told", "outside the space"),
        *("for nothing", "for more than it says"),
    ],
)
def test_a_strategy_that_breaks_the_contract_is_told(way: str) -> None:
    with pytest.raises(AssertionError):
        hold_strategy(Asking(way=way), SPACE, drop_of)


def test_metrics_ours_and_of_a_users_file(tmp_path: Path) -> None:
    assert hold_metric("exact_match", CASES) == [1.0, 0.0]
    file = tmp_path / "metrics.py"
    file.write_text(OWN_METRICS)
    assert hold_metric(f"{file}:FirstLetter", CASES) == [1.0, 0.0]
    for name in ("Percent", "Counting"):
        with pytest.raises(AssertionError):
            hold_metric(f"{file}:{name}", CASES)


def test_a_task_of_a_users_file_scores_by_a_metric_beside_it(tmp_path: Path) -> None:
    (tmp_path / "metrics.py").write_text(OWN_METRICS)
    (tmp_path / "tasks.yaml").write_text(
        "mine: {demo: demo_okvqa, task_type: VQA, metric: 'metrics.py:FirstLetter'}\n"
    )
    split = hold_task(get_task("mine", files=[tmp_path / "tasks.yaml"]))
    assert (split.scorer.name, split.metric_version) == ("first_letter", 1)


def test_a_task_whose_samples_share_an_id_is_told() -> None:
    task = get_task("demo_okvqa")

    class Twice:
        def splits(self) -> tuple[str, ...]:
            return ("validation",)

        def samples(self, split: str) -> SampleSequence:
            return (CASES[0][0],) * 4

        def describe(self) -> str:
            return "nowhere"

    with pytest.raises(Exception, match="id"):
        hold_task(replace(task, source=Twice(), prompt="{question}"))


def test_proxies_ours_and_of_a_users_file(tmp_path: Path) -> None:
    from depthprune.testing import tiny_models

    loaded = tiny_models.loaded(tiny_models.llama(), tiny_models.word_tokenizer())
    split = tiny_models.split_of(tiny_models.text_samples())
    file = tmp_path / "proxies.py"
    file.write_text(OWN_PROXIES)
    try:
        hold_proxy("block_influence", loaded, split)
        assert min(hold_proxy(f"{file}:mine", loaded, split).scores) == 0
        with pytest.raises(AssertionError):
            hold_proxy(f"{file}:shaky", loaded, split)
    finally:
        PROXIES.forget("mine", "shaky")
