"""`depthprune inspect` and `tasks`: the blocks of a model, and what it is sent."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated

from cyclopts import Parameter

from depthprune.base.errors import DepthpruneError
from depthprune.base.language import set_language
from depthprune.base.terminal import terminal
from depthprune.cli.flags import AsJson, Language, Model, with_flags
from depthprune.cli.output import show_json, show_sections, show_wrapped
from depthprune.engine.options import PromptOptions
from depthprune.report.sections.cut import inspection_section
from depthprune.report.sections.tasks import task_table
from depthprune.tasks.demo import DEMO, model_place
from depthprune.tasks.options import DataOptions
from depthprune.tasks.registry import list_tasks, named_tasks


def inspect(
    model: Model,
    *,
    stack: str = "text",
    trust_remote_code: bool = False,
    revision: str | None = None,
    download: bool = False,
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Show a model's stack of blocks, its parameters, and which blocks can be skipped and cut.

    Reads only the configuration and loads no weights, so it is quick even for a 70B model.

    For example:

        depthprune inspect demo
        depthprune inspect ./Qwen2.5-VL-3B-Instruct --stack vision

    Parameters
    ----------
    stack
        Stack of blocks to show: text, vision, encoder or decoder.
    trust_remote_code
        Run code that comes with the checkpoint. Only for checkpoints you trust.
    revision
        Branch, tag or commit of a hub model.
    download
        Download the configuration from the hub; otherwise only the local cache is read.

    """
    set_language(lang)
    from depthprune.blocks.inspect import inspect_model

    inspection = inspect_model(
        model_place(model),
        stack,
        trust_remote_code=trust_remote_code,
        revision=revision,
        download=download,
    )
    if model == DEMO:
        inspection = replace(inspection, name=DEMO)
    if json:
        show_json(asdict(inspection))
        return
    show_sections([inspection_section(inspection)])


@with_flags
def tasks(
    *,
    show: tuple[str, ...] = (),
    model: str | None = None,
    number: Annotated[int, Parameter(name=("-n", "--number"))] = 3,
    json: AsJson = False,
    lang: Language = "en",
    data: DataOptions = DataOptions(),
    run: PromptOptions = PromptOptions(),  # noqa: B008 - frozen
) -> None:
    """List the built-in tasks, the demo tasks and your own, or show the prompts of a task.

    --show prints for some samples of a task the prompt after the model's chat template, the number
    of tokens, the sizes of images before and after processing, the accepted answers, the metric and
    the maximum length of the answer. Nothing is measured, and no weights are loaded.

    For example:

        depthprune tasks --task-file my_tasks.yaml
        depthprune tasks --show okvqa --model Qwen/Qwen2.5-VL-3B-Instruct -n 3
        depthprune tasks --show my_plates --task-file my_tasks.yaml --model ./model

    Parameters
    ----------
    show
        Tasks to show the prompts of.
    model
        Model whose chat template and processor are used: a folder, a hub name, or demo.
    number
        Number of samples to show of each task and split.

    """
    set_language(lang)
    if not show:
        _list(data, as_json=json)
        return
    if number < 1:
        raise DepthpruneError(
            f"the number of samples must be 1 or more, not {number}", option="number"
        )
    from depthprune.report.render.text import section_parts
    from depthprune.report.sections.tasks import sent_sections, sent_value
    from depthprune.workflow.models import sent_samples

    found = list(sent_samples(replace(data, tasks=show), number, model, run))
    if json:
        values = [
            sent_value(split.task, split.split, split.fingerprint, each, model)
            for split, each in found
        ]
        show_json({"tasks": values})
        return
    for split, each in found:
        for section in sent_sections(split.task, split.split, each, model):
            show_wrapped(section_parts(section))


def _list(data: DataOptions, *, as_json: bool) -> None:
    known = list_tasks(data.task_files)
    if data.tasks:
        known = named_tasks(data.tasks, data.task_files, data.lm_eval_paths)
    if not as_json:
        terminal(markup=False).print(task_table(known))
        return
    rows = [
        {
            "task": one.name,
            "task_type": one.task_type,
            "metric": one.metric,
            "data": one.source.describe(),
            "enabled": one.enabled,
        }
        for one in known
    ]
    show_json({"tasks": rows})
