"""How questions are put to a model: its chat template, a system prompt, thinking, a fixed date."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date

from depthprune.base.errors import DepthpruneError

OWN = "auto"
NONE = "none"


@dataclass(frozen=True)
class PromptSettings:
    """How questions are put to a model. What is not the usual is part of `text`.

    Attributes:
        chat_template: `auto` is the model's own, `none` leaves it out, anything else is the text of
            a template. None is `auto`, except for tasks of the lm-evaluation-harness, which asks
            without one by default.
        system_prompt: what the model is told before the question; empty for nothing.
        thinking: whether a model that can think before it answers does so.
        date: today, for templates that ask the clock, as YEAR-MONTH-DAY. One fixed day, so that a
            prompt is the same whenever it is measured; the usual one is that of Llama's templates.
        min_pixels, max_pixels: of a picture as the model sees it; None leaves what the processor
            says. They are part of the processor, and so of the model's identity, not of `text`.

    Raises:
        DepthpruneError: the date is no date, or no picture can have so many pixels.
    """

    chat_template: str | None = None
    system_prompt: str = ""
    thinking: bool = False
    date: str = "2024-07-26"
    min_pixels: int | None = None
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        if (self.min_pixels or 0) > (self.max_pixels or self.min_pixels or 0):
            raise DepthpruneError(
                f"no picture has at least {self.min_pixels} and at most {self.max_pixels} pixels",
                option="min_pixels",
                mend="give a smaller number than that of the most pixels",
            )
        try:
            date.fromisoformat(self.date)
        except ValueError as error:
            raise DepthpruneError(
                f"{self.date!r} is not a date",
                option="prompt_date",
                mend="write it as 2024-07-26",
            ) from error

    @property
    def template(self) -> str | None:
        """The template that replaces the model's own: a text, empty for none; None keeps it."""
        if self.chat_template in (None, OWN):
            return None
        return "" if self.chat_template == NONE else self.chat_template

    @property
    def for_harness(self) -> bool:
        """Whether tasks of the lm-evaluation-harness are asked with the chat template."""
        return self.chat_template not in (None, NONE)

    @property
    def text(self) -> str:
        """One line that is another wherever prompts may be; empty for the usual settings."""
        parts = []
        if self.chat_template is not None:
            named = self.chat_template in (OWN, NONE)
            shown = self.chat_template if named else _digest(self.chat_template)
            parts.append(f"chat_template={shown}")
        if self.system_prompt:
            parts.append(f"system_prompt={_digest(self.system_prompt)}")
        if self.thinking:
            parts.append("thinking")
        if self.date != PromptSettings.date:
            parts.append(f"date={self.date}")
        return " ".join(parts)


USUAL_PROMPTS = PromptSettings()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
