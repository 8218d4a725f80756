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
    """Show the stack of blocks that was found, its parameters, and what can be skipped and cut.

    Reads the configuration only: no weights are loaded, so even a 70B model is quick.

    For example:

        depthprune inspect demo
        depthprune inspect ./Qwen2.5-VL-3B-Instruct --stack vision

    Parameters
    ----------
    stack
        The stack to look at: text, vision, encoder, decoder.
    trust_remote_code
        Run code that comes with the checkpoint. Only for checkpoints you trust.
    revision
        Branch, tag or commit of a hub model.
    download
        Allow fetching the configuration from the hub; otherwise only the local cache is read.

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
        Number of samples that are shown of each task and split.

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
