"""How a model is run: the options that loading and measuring share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from depthprune.base.errors import DepthpruneError, option
from depthprune.base.options import Options
from depthprune.base.prompting import NONE, OWN, PromptSettings


@dataclass(frozen=True)
class PromptOptions(Options):
    """Prompts."""

    chat_template: str | None = None
    """Chat template: auto (the model's own), none, or a file. Default: auto, but none for lm_eval:
    tasks."""

    system_prompt: str = ""
    """System prompt before every question."""

    thinking: bool = False
    """Enable thinking before the answer, for models whose chat template has this switch."""

    prompt_date: str = PromptSettings.date
    """Date for chat templates that contain one; fixed, so that prompts are reproducible."""

    min_pixels: Annotated[int, Ge(1)] | None = None
    """Minimum number of pixels of an image, for processors that support a limit."""

    max_pixels: Annotated[int, Ge(1)] | None = None
    """Maximum number of pixels of an image, for processors that support a limit."""

    trust_remote_code: bool = False
    """Run code that comes with the checkpoint. Only for checkpoints you trust."""

    revision: str | None = None
    """Branch, tag or commit of a hub model."""

    def prompt(self) -> PromptSettings:
        """Return how questions are put to the model.

        Raises:
            DepthpruneError: the file with the chat template cannot be read, or the date is none.
        """
        template = self.chat_template
        if template not in (None, OWN, NONE):
            template = _template(template)
        return PromptSettings(
            *(template, self.system_prompt, self.thinking, self.prompt_date),
            *(self.min_pixels, self.max_pixels),
        )


@dataclass(frozen=True)
class ModelOptions(PromptOptions):
    """Model and device."""

    dtype: str = "auto"
    """Data type: float32, bfloat16, float16, or auto (the checkpoint's own; on a CPU never
    float16)."""

    device: str = "auto"
    """Device: cpu, cuda, cuda:1, mps, or auto (a GPU if there is one)."""

    device_map: str | None = None
    """Device map of transformers for a model on several devices: auto, balanced, sequential."""

    batch_size: Annotated[int, Ge(1)] | None = None
    """Batch size in samples (default: chosen by memory); halved when memory runs out."""

    stack: str = "text"
    """Stack of blocks to prune: text, vision, encoder or decoder."""

    self_check: bool = True
    """Check at the start that a few answers equal those of plain generation, removal by removal."""


@dataclass(frozen=True)
class Workers(Options):
    """Workers."""

    workers: int | str | None = None
    """Number of worker processes that share the samples, or all: every GPU. Default: none, all work
    is done in this process. Needs the extra `distributed`."""

    ray: str | None = None
    """Ray cluster: auto (the one this machine belongs to) or HOST:PORT. Default: this machine
    alone."""

    gpus_per_worker: Annotated[int, Ge(1)] | None = None
    """GPUs of each worker (default: 1 where there are GPUs); a model larger than one GPU is spread
    over them."""

    max_restarts: Annotated[int, Ge(0)] = 3
    """Number of lost workers that are replaced before the command gives up."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.workers is None or self.workers == "all":
            return
        if type(self.workers) is not int or self.workers < 0:
            raise DepthpruneError(
                f"{option('workers')} must be a number of 0 or more, or all, not {self.workers!r}",
                option="workers",
            )

    @property
    def wanted(self) -> int | str:
        """How many workers there are to be; 0 where all work is done in this process."""
        if self.workers is None:
            return 0 if self.ray is None else "all"
        return self.workers


def _template(name: str) -> str:
    """Return the chat template in a file."""
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
