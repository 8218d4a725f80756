"""The options that commands share: how to name a model, its tasks and a place for the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from depthprune.base.errors import DepthpruneError, RemovalError
from depthprune.base.prompting import NONE, OWN, PromptSettings
from depthprune.base.removal import Removal, parse_removal
from depthprune.cli.output import Language as Language
from depthprune.strategies.model import DataPlaces, ModelOptions
from depthprune.tasks.demo import MODEL_PATH
from depthprune.tasks.task import Task

DEMO = "demo"
"""The name of the embedded model, and of its eight tasks."""

_MODEL = Group.create_ordered("How the model is run")
_DATA = Group.create_ordered("What it is measured on")


@Parameter(name="*")
@dataclass(frozen=True)
class ModelFlags:
    """How the model is run."""

    dtype: Annotated[str, Parameter(group=_MODEL)] = "auto"
    """float32, bfloat16 or float16; auto: the checkpoint's own, on a CPU never float16."""

    device: Annotated[str, Parameter(group=_MODEL)] = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU when there is one."""

    device_map: Annotated[str | None, Parameter(group=_MODEL)] = None
    """Spread the model over devices, as in transformers: auto, balanced, sequential."""

    batch_size: Annotated[int | None, Parameter(group=_MODEL)] = None
    """Samples at once; chosen by memory when not given, and halved when memory runs out."""

    stack: Annotated[str, Parameter(group=_MODEL)] = "text"
    """The stack to prune: text, vision, encoder, decoder."""

    trust_remote_code: Annotated[bool, Parameter(group=_MODEL)] = False
    """Run code that comes with the checkpoint. Only for checkpoints you trust."""

    revision: Annotated[str | None, Parameter(group=_MODEL)] = None
    """Branch, tag or commit of a hub model."""

    self_check: Annotated[bool, Parameter(group=_MODEL, negative="--no-self-check")] = True
    """At first, compare a few answers with those of plain generation, removal by removal."""

    chat_template: Annotated[str | None, Parameter(group=_MODEL)] = None
    """auto: the model's own; none; or a file. If not given: auto, but none for lm_eval: tasks."""

    system_prompt: Annotated[str, Parameter(group=_MODEL)] = ""
    """What the model is told before every question."""

    thinking: Annotated[bool, Parameter(group=_MODEL)] = False
    """Let a model think before it answers, where its chat template offers the choice."""

    prompt_date: Annotated[str, Parameter(group=_MODEL)] = PromptSettings.date
    """Today, for chat templates that ask: one fixed day, so that prompts stay the same."""

    def options(self, model: str, *, download: bool) -> ModelOptions:
        """Return what the library takes, for a model that a user named."""
        return ModelOptions(
            source=model_source(model),
            name=model if model == DEMO else None,
            part=self.stack,
            dtype=self.dtype,
            device=self.device,
            device_map=self.device_map,
            batch_size="auto" if self.batch_size is None else self.batch_size,
            trust_remote_code=self.trust_remote_code,
            revision=self.revision,
            download=download,
            self_check=self.self_check,
            prompt=self.prompt(),
        )

    def prompt(self) -> PromptSettings:
        """Return how questions are put to the model.

        Raises:
            DepthpruneError: the file with the chat template cannot be read, or the date is none.
        """
        template = self.chat_template
        if template not in (None, OWN, NONE):
            template = _chat_template_file(template)
        return PromptSettings(template, self.system_prompt, self.thinking, self.prompt_date)


@Parameter(name="*")
@dataclass(frozen=True)
class DataFlags:
    """What the model is measured on."""

    task: Annotated[
        tuple[str, ...], Parameter(name=("--task", "--tasks", "--dataset-name"), group=_DATA)
    ] = ()
    """Tasks, e.g. okvqa text_vqa; all: every built-in one; demo: the eight embedded ones;
    lm_eval:arc_easy: a task, group or tag of the lm-evaluation-harness."""

    split: Annotated[tuple[str, ...], Parameter(name=("--split", "--splits"), group=_DATA)] = (
        "train+validation",
    )
    """Splits; train+validation samples evenly over both, `train validation` measures each."""

    num_samples: Annotated[int, Parameter(group=_DATA)] = 1000
    """Samples of each split; 0 means all."""

    seed: Annotated[int, Parameter(group=_DATA)] = 0
    """Chooses the samples."""

    data_dir: Annotated[Path | None, Parameter(group=_DATA)] = None
    """Folder with local copies of the data: DIR/TASK/SPLIT.jsonl, .parquet or a folder."""

    follow_links: Annotated[bool, Parameter(group=_DATA)] = False
    """Read pictures behind symbolic links that lead out of the data folder."""

    task_file: Annotated[tuple[Path, ...], Parameter(group=_DATA)] = ()
    """Your own tasks: YAML, or a Python file, which is executed."""

    lm_eval_path: Annotated[tuple[Path, ...], Parameter(group=_DATA)] = ()
    """Folders with definitions of the lm-evaluation-harness; Python they name is executed."""

    download: Annotated[bool, Parameter(group=_DATA)] = False
    """Allow fetching model and data from the hub; otherwise only the local cache is read."""

    def tasks(self, model: str) -> tuple[Task, ...]:
        """Return the tasks that are named; the embedded model is measured on its own by default.

        Raises:
            DepthpruneError: no task is named, or there is no such task.
        """
        names = list(self.task) or ([DEMO] if model == DEMO else [])
        if not names:
            raise DepthpruneError(
                "no task was named",
                option="tasks",
                mend="name tasks, e.g. --task okvqa text_vqa; `depthprune tasks` lists them",
            )
        # Reading task files needs pydantic, which commands that read results do without.
        from depthprune.tasks.registry import find_tasks, list_tasks, place_task

        known = list_tasks(self.task_file)
        groups = {
            DEMO: [task.name for task in known if task.name.startswith("demo_")],
            "all": [t.name for t in known if t.enabled and not t.name.startswith("demo_")],
        }
        wanted = (name for given in names for name in groups.get(given, [given]))
        chosen = {
            task.name: task
            for name in wanted
            for task in find_tasks(name, known, self.lm_eval_path)
        }
        return tuple(
            place_task(task, self.data_dir, download=self.download, follow_links=self.follow_links)
            for task in chosen.values()
        )

    @property
    def places(self) -> DataPlaces:
        """Return where tasks and their data are looked for."""
        return DataPlaces(self.data_dir, self.task_file, self.lm_eval_path)

    @property
    def samples(self) -> int | None:
        """Samples of each split, None for all."""
        if self.num_samples < 0:
            raise DepthpruneError(
                f"{self.num_samples} samples cannot be measured",
                option="num_samples",
                mend="give a positive number, or 0 for all",
            )
        return self.num_samples or None


def _chat_template_file(name: str) -> str:
    try:
        text = Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DepthpruneError(
            f"the chat template {name!r} cannot be read: {error}",
            option="chat_template",
            mend="name a file with a Jinja template, or say auto or none",
        ) from error
    if not text.strip():
        raise DepthpruneError(
            f"the chat template {name!r} is empty",
            option="chat_template",
            mend="say none to ask without a template",
        )
    return text


def model_source(model: str) -> str:
    """Return the place of a model: `demo` is the embedded one."""
    return str(MODEL_PATH) if model == DEMO else model


def study_folder(output: Path | None, model: str) -> Path:
    """Return where results go: `--output`, or a folder named after the model."""
    if output is not None:
        return output
    place = Path(model).expanduser()
    return Path(f"depthprune-{(place.resolve() if place.exists() else place).name}")


def block_set(given: Sequence[str], option: str) -> Removal:
    """Return blocks that were written as `0 15` or `0,15`; `0-15` is the pair, as in file names.

    Raises:
        RemovalError: no block indices, or what could be a range where ranges are likely.
    """
    text = " ".join(given)
    if "-" in text and option == "protect":
        raise RemovalError(
            f"{text!r} could be two blocks or all from one to the other",
            option=option,
            mend="write every block, as 0 15 or 0,15",
        )
    return parse_removal(text)


def check_ranking(min_coverage: int, min_drop: float | None) -> None:
    """Refuse limits of a ranking that mean nothing.

    Raises:
        DepthpruneError: fewer than one dataset, or a drop that is not a finite number.
    """
    if min_coverage < 1:
        raise DepthpruneError(
            f"a combination cannot be measured on {min_coverage} datasets at least",
            option="min_coverage",
            mend="give 1 or more",
        )
    if min_drop is not None and not isfinite(min_drop):
        raise DepthpruneError(
            f"a mean drop of {min_drop} is no limit",
            option="min_drop",
            mend="give a fraction (0.01 is one percentage point), or leave it out",
        )
