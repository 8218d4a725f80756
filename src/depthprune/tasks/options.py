"""What a model is measured on: the tasks, their splits and samples, and where the data lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt, MinLen

from depthprune.base.errors import DepthpruneError, Problems, option
from depthprune.base.options import Options
from depthprune.tasks.demo import DEMO
from depthprune.tasks.task import Task

Prompts = Literal["own", "lmms-eval"]
"""As the tasks say, or as lmms-eval asks the built-in ones."""


@dataclass(frozen=True)
class DataOptions(Options):
    """Tasks and data."""

    tasks: tuple[str, ...] = ()
    """Tasks, e.g. okvqa text_vqa. all: every built-in task; demo: the eight demo tasks;
    lm_eval:NAME: a task, group or tag of the lm-evaluation-harness, e.g. lm_eval:arc_easy."""

    splits: Annotated[tuple[str, ...], MinLen(1)] = ("train+validation",)
    """Splits. train+validation draws samples evenly from both; `train validation` measures each by
    itself."""

    num_samples: Annotated[int, Ge(0)] = 1000
    """Number of samples of each split; 0 means all."""

    seed: int = 0
    """Random seed of the choice of samples."""

    holdout: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Fraction of each split that the search never uses; recommended removals are verified on
    it."""

    data_dir: Path | None = None
    """Folder with local copies of the data: DIR/TASK/SPLIT.jsonl, .parquet or a folder."""

    follow_links: bool = False
    """Follow symbolic links to images outside the data folder."""

    task_files: tuple[Path, ...] = ()
    """Files that define your own tasks: YAML, or Python, which is executed."""

    lm_eval_paths: tuple[Path, ...] = ()
    """Folders with task definitions for the lm-evaluation-harness. Python code that they name is
    executed."""

    prompts: Prompts = "own"
    """Prompts of the built-in tasks: own, or the prompts of lmms-eval (see docs/tasks.md)."""

    download: bool = False
    """Download model and data from the hub; otherwise only the local cache is read."""

    @property
    def samples(self) -> int | None:
        """Samples of each split, None for all."""
        return self.num_samples or None

    def find_tasks(self, model: str = "") -> tuple[Task, ...]:
        """Return the tasks that are named; the embedded model is measured on its own by default.

        Raises:
            DepthpruneError: no task is named, or there is no such task.
        """
        names = self.tasks or ((DEMO,) if model == DEMO else ())
        if not names:
            raise DepthpruneError(
                "no task was named",
                option="tasks",
                mend=f"name tasks, e.g. {option('tasks', 'okvqa text_vqa')}; `depthprune tasks` "
                "lists them",
            )
        # Reading task files needs pydantic, which commands that read results do without.
        from depthprune.tasks.builtin import asked_as
        from depthprune.tasks.registry import named_tasks, place_task

        placed, problems = [], Problems()
        how: dict[str, Any] = {"download": self.download, "follow_links": self.follow_links}
        found = named_tasks(names, self.task_files, self.lm_eval_paths)
        for task in asked_as(found, self.prompts):
            with problems.noted():
                placed.append(place_task(task, self.data_dir, **how))
        problems.check()
        return tuple(placed)
