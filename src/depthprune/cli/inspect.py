"""`depthprune inspect`: the blocks of a model, and which of them can go."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict, replace

from depthprune.base.language import set_language
from depthprune.cli.measure import AsJson, Model
from depthprune.cli.output import Language, show_sections
from depthprune.report.sections.cut import inspection_section
from depthprune.tasks.demo import DEMO, model_place


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
    from depthprune.blocks import inspect_model

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
        print(json_module.dumps(asdict(inspection), indent=1))
        return
    show_sections([inspection_section(inspection)])
