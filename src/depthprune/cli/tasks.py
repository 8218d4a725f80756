"""`depthprune tasks`: what can be measured, and what a model is sent."""

from __future__ import annotations

import json as json_module
from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from depthprune.base.errors import DepthpruneError
from depthprune.base.language import set_language
from depthprune.base.terminal import terminal
from depthprune.cli.flags import with_flags
from depthprune.cli.output import AsJson, Language, show_wrapped
from depthprune.engine.options import PromptOptions
from depthprune.report.sections.tasks import task_table
from depthprune.tasks.options import DataOptions
from depthprune.tasks.registry import list_tasks, named_tasks


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
    """List the tasks: built in, of the demo, and your own; or show what a model is sent.

    With --show: for some samples of a task the text as it is sent, after the model's chat
    template, the number of tokens, the sizes of pictures as given and as sent, accepted answers,
    metric and the longest answer. Nothing is measured, and no weights are loaded.

    For example:

        depthprune tasks --task-file my_tasks.yaml
        depthprune tasks --show okvqa --model Qwen/Qwen2.5-VL-3B-Instruct -n 3
        depthprune tasks --show my_plates --task-file my_tasks.yaml --model ./model

    Parameters
    ----------
    show
        Tasks whose prompts are shown.
    model
        Folder, hub name, or demo: whose chat template and processor are used.
    number
        Samples that are shown of each task and split.

    """
    set_language(lang)
    if not show:
        _list(data, as_json=json)
        return
    if number < 1:
        raise DepthpruneError(
            f"{number} samples cannot be shown", option="number", mend="give 1 or more"
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
        print(json_module.dumps({"tasks": values}, indent=1))
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
    print(json_module.dumps({"tasks": rows}, indent=1))
