"""Every public function, called twice: the second call does what the first did."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import depthprune as dp
from tests.analysis.results import PUBLISHED

FUNCTIONS = sorted(name for name in dp.__all__ if inspect.isfunction(getattr(dp, name)))
STRUCTURE = ("analyze", "batch", "facts_of", "read_model", "summarize", "table")


@pytest.fixture(scope="module")
def calls(demo: dp.Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[], Any]]:
    """Return a tiny call of each function, with a value that both calls share."""
    place = tmp_path_factory.mktemp("twice")
    (place / "text.txt").write_text("which country has this flag ? " * 20)
    (place / "study.yaml").write_text(
        "model: {source: demo}\ntasks: [demo_okvqa]\nnum_samples: 2\noutput: run\n"
        "search: {max_blocks_to_remove: 1, protect: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}\n"
    )
    tasks = dp.load_tasks("demo_okvqa", num_samples=2)
    published = dp.open_study(PUBLISHED)
    found = dp.analyze(published)

    def skipped() -> int:
        with dp.skip(demo, [4]):
            return len(list(demo.model.parameters()))

    def cut() -> tuple[int, ...]:
        return dp.cut("demo", [4], place / "cut", overwrite=True).plan.kept

    return {
        "analyze": lambda: dp.analyze(published).recommendations.recommended,
        "compare": lambda: dp.compare(PUBLISHED).rows,
        "cut": cut,
        "evaluate": lambda: (
            dp.evaluate(demo, metrics=["ppl"], ppl_texts=[place / "text.txt"]).perplexity
        ),
        "find_stack": lambda: dp.find_stack(demo.model),
        "load_model": lambda: dp.load_model("demo").fingerprint,
        "load_tasks": lambda: dp.load_tasks("demo_okvqa", num_samples=2)[0].fingerprint,
        "merge": lambda: dp.merge(published).scores,
        "metric": lambda: dp.metric("exact_match").score("a", "a"),
        "open_study": lambda: dp.open_study(PUBLISHED).datasets,
        "profile": lambda: dp.profile(demo, tasks, folder=place / "study").drops().rows,
        "prune": lambda: (
            dp.prune("demo", method="magnitude", ratio=0.2, dry_run=True).plan.bytes_after
        ),
        "recommend": lambda: dp.recommend(published).strategies,
        "run": lambda: dp.run(place / "study.yaml").study.drops().rows,
        "search": lambda: dp.search(
            demo, tasks, folder=place / "study", strategy=dp.Greedy(max_removed=1)
        ).importance(),
        "select": lambda: dp.select({0: 0.5, 1: 0.1, 2: 0.7}, 2),
        "skip": skipped,
        "sweep": lambda: dp.sweep(demo, tasks, folder=place / "study", removals=[[4]])["drop"],
        "verify": lambda: dp.verify(demo, place / "study", [[4]], samples=2, tasks=tasks).rows,
        "write_report": lambda: dp.write_report(found, place / "report", formats=("json",)),
        "structure.analyze": lambda: dp.structure.analyze("demo").anatomy.total,
        "structure.batch": lambda: len(
            dp.structure.batch(place / "cut", "demo", place / "out").results
        ),
        "structure.facts_of": lambda: [
            dp.structure.facts_of(one).params
            for one in dp.structure.summarize(place / "out").models
        ],
        "structure.read_model": lambda: dp.structure.read_model("demo").anatomy.total,
        "structure.summarize": lambda: len(dp.structure.summarize(place / "out").models),
        "structure.table": lambda: len(dp.structure.table(place / "out").rows),
    }


def test_no_function_is_left_out(calls: dict[str, Callable[[], Any]]) -> None:
    assert sorted(calls) == sorted([*FUNCTIONS, *(f"structure.{name}" for name in STRUCTURE)])
    assert sorted(dp.structure.__all__) == sorted(STRUCTURE)


@pytest.mark.parametrize("name", [*FUNCTIONS, *(f"structure.{name}" for name in STRUCTURE)])
def test_a_function_is_called_twice(calls: dict[str, Callable[[], Any]], name: str) -> None:
    needed = {"structure.batch": "cut", "verify": "profile"}.get(name)
    needed = needed or ("structure.batch" if name.startswith("structure.") else None)
    for before in ("cut", "structure.batch") if needed == "structure.batch" else (needed,):
        if before is not None:
            calls[before]()
    first = calls[name]()
    assert first == calls[name]()
