"""Find the transformer blocks that a model can lose, and what each loss costs.

    import depthprune as dp

    study = dp.search("demo", dp.load_tasks("demo", num_samples=16), folder="study")
    found = dp.analyze(study)
    dp.write_report(found, "report")

Every name is documented in docs/api.md.
"""

from __future__ import annotations

from importlib import import_module

# Importing `typing` would be half of what importing this package costs.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from depthprune import structure
    from depthprune.base.errors import DepthpruneError
    from depthprune.base.removal import Removal
    from depthprune.blocks.stack import Stack
    from depthprune.strategies import Beam, Evolutionary, Exhaustive, Greedy
    from depthprune.tasks.metrics import Metric, metric
    from depthprune.tasks.task import Sample, Task, TaskSplit
    from depthprune.workflow.cutting import CutReport, cut
    from depthprune.workflow.decisions import (
        Findings,
        Ranking,
        Recommendation,
        Recommendations,
        analyze,
        recommend,
        write_report,
    )
    from depthprune.workflow.evaluating import Evaluation, evaluate
    from depthprune.workflow.measuring import profile, search
    from depthprune.workflow.models import Model, find_stack, load_model, load_tasks, skip
    from depthprune.workflow.run import Outcome, run
    from depthprune.workflow.scores import Scores, compare, merge, select
    from depthprune.workflow.studies import Study, Table, open_study
    from depthprune.workflow.sweeping import sweep
    from depthprune.workflow.verifying import verify

__version__ = "0.1.0"

__all__ = [
    "Beam",
    "CutReport",
    "DepthpruneError",
    "Evaluation",
    "Evolutionary",
    "Exhaustive",
    "Findings",
    "Greedy",
    "Metric",
    "Model",
    "Outcome",
    "Ranking",
    "Recommendation",
    "Recommendations",
    "Removal",
    "Sample",
    "Scores",
    "Stack",
    "Study",
    "Table",
    "Task",
    "TaskSplit",
    "__version__",
    "analyze",
    "compare",
    "cut",
    "evaluate",
    "find_stack",
    "load_model",
    "load_tasks",
    "merge",
    "metric",
    "open_study",
    "profile",
    "recommend",
    "run",
    "search",
    "select",
    "skip",
    "structure",
    "sweep",
    "verify",
    "write_report",
]

_MODULES = {
    "base.errors": ("DepthpruneError",),
    "base.removal": ("Removal",),
    "blocks.stack": ("Stack",),
    "structure": ("structure",),
    "strategies": ("Beam", "Evolutionary", "Exhaustive", "Greedy"),
    "tasks.metrics": ("Metric", "metric"),
    "tasks.task": ("Sample", "Task", "TaskSplit"),
    "workflow.cutting": ("CutReport", "cut"),
    "workflow.decisions": (
        "Findings",
        "Ranking",
        "Recommendation",
        "Recommendations",
        "analyze",
        "recommend",
        "write_report",
    ),
    "workflow.evaluating": ("Evaluation", "evaluate"),
    "workflow.measuring": ("profile", "search"),
    "workflow.models": ("Model", "find_stack", "load_model", "load_tasks", "skip"),
    "workflow.run": ("Outcome", "run"),
    "workflow.scores": ("Scores", "compare", "merge", "select"),
    "workflow.studies": ("Study", "Table", "open_study"),
    "workflow.sweeping": ("sweep",),
    "workflow.verifying": ("verify",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
"""The module of each public name; it is imported when the name is first asked for."""

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_HOMES[name]}")
    return module if name == _HOMES[name] else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
