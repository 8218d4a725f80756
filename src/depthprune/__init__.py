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

    from depthprune import structure as structure
    from depthprune.base.errors import DepthpruneError as DepthpruneError
    from depthprune.base.removal import Removal as Removal
    from depthprune.blocks.stack import Stack as Stack
    from depthprune.engine.options import Workers as Workers
    from depthprune.healing import LinearMap as LinearMap
    from depthprune.strategies import Beam as Beam
    from depthprune.strategies import Evolutionary as Evolutionary
    from depthprune.strategies import Exhaustive as Exhaustive
    from depthprune.strategies import Greedy as Greedy
    from depthprune.tasks.metrics import Metric as Metric
    from depthprune.tasks.metrics import metric as metric
    from depthprune.tasks.task import Sample as Sample
    from depthprune.tasks.task import Task as Task
    from depthprune.tasks.task import TaskSplit as TaskSplit
    from depthprune.workflow.cutting import CutReport as CutReport
    from depthprune.workflow.cutting import cut as cut
    from depthprune.workflow.decisions import Findings as Findings
    from depthprune.workflow.decisions import Ranking as Ranking
    from depthprune.workflow.decisions import Recommendation as Recommendation
    from depthprune.workflow.decisions import Recommendations as Recommendations
    from depthprune.workflow.decisions import analyze as analyze
    from depthprune.workflow.decisions import recommend as recommend
    from depthprune.workflow.decisions import write_report as write_report
    from depthprune.workflow.evaluating import Evaluation as Evaluation
    from depthprune.workflow.evaluating import evaluate as evaluate
    from depthprune.workflow.measuring import profile as profile
    from depthprune.workflow.measuring import search as search
    from depthprune.workflow.models import Model as Model
    from depthprune.workflow.models import find_stack as find_stack
    from depthprune.workflow.models import load_model as load_model
    from depthprune.workflow.models import load_tasks as load_tasks
    from depthprune.workflow.models import skip as skip
    from depthprune.workflow.pruning import prune as prune
    from depthprune.workflow.run import Outcome as Outcome
    from depthprune.workflow.run import run as run
    from depthprune.workflow.scores import Scores as Scores
    from depthprune.workflow.scores import compare as compare
    from depthprune.workflow.scores import merge as merge
    from depthprune.workflow.scores import select as select
    from depthprune.workflow.studies import Study as Study
    from depthprune.workflow.studies import Table as Table
    from depthprune.workflow.studies import open_study as open_study
    from depthprune.workflow.sweeping import sweep as sweep
    from depthprune.workflow.verifying import verify as verify

__version__ = "0.1.0"

_MODULES = {
    "base.errors": ("DepthpruneError",),
    "base.removal": ("Removal",),
    "blocks.stack": ("Stack",),
    "engine.options": ("Workers",),
    "healing": ("LinearMap",),
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
    "workflow.pruning": ("prune",),
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
